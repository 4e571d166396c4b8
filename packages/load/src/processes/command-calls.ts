import type { CommandReply, CommandRequest, CommandTable } from "./child-commands.ts";

type Args<F> = F extends (args: infer A) => unknown ? A : never;
type Result<F> = F extends (args: never) => infer R ? Awaited<R> : never;
interface Waiter {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** How long a child may take over one command before it is given up. */
export const COMMAND_TIMEOUT_MS = 120_000;

/**
 * The parent's side of a process or thread that serves commands: calls by name, each with a bound on its time. Once the child
 * has failed, or is gone, every call rejects with that, those under way included.
 */
export class CommandCalls<C extends CommandTable<C>> {
  readonly label: string;
  /** Rejects when the child fails or is gone. Never resolves. */
  readonly failure: Promise<never>;
  readonly #post: (request: CommandRequest) => void;
  readonly #waiting: Map<number, Waiter> = new Map();
  #rejectFailure: (error: Error) => void = () => undefined;
  #nextId = 1;
  #error: Error | undefined;

  constructor(label: string, post: (request: CommandRequest) => void) {
    this.label = label;
    this.#post = post;
    this.failure = new Promise((_, reject) => {
      this.#rejectFailure = reject;
    });
    // Whoever does not wait for it hears of it at the next call.
    this.failure.catch(() => undefined);
  }

  async call<K extends keyof C & string>(
    name: K,
    args: Args<C[K]>,
    timeoutMs: number = COMMAND_TIMEOUT_MS,
  ): Promise<Result<C[K]>> {
    if (this.#error !== undefined) throw this.#error;
    const id = this.#nextId++;
    let timer: NodeJS.Timeout | undefined;
    try {
      return (await new Promise<unknown>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        const late = new Error(`${this.label} did not answer in time: command=${name}`);
        timer = setTimeout(() => reject(late), timeoutMs);
        this.#post({ id, name, args: args ?? null });
      })) as Result<C[K]>;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** To be given each message of the child; true: it was its first, the child serves commands. */
  onReply(reply: CommandReply): boolean {
    if ("ready" in reply) return true;
    if ("failure" in reply) this.fail(new Error(`${this.label} failed: ${reply.failure}`));
    else this.#settle(reply);
    return false;
  }

  /** The first error counts. */
  fail(error: Error): void {
    this.#error ??= error;
    this.#rejectFailure(this.#error);
    for (const waiter of this.#waiting.values()) waiter.reject(this.#error);
  }

  #settle(reply: { id: number; result: unknown } | { id: number; error: string }): void {
    const waiter = this.#waiting.get(reply.id);
    if (waiter === undefined) return;
    if ("error" in reply) waiter.reject(new Error(`${this.label}: ${reply.error}`));
    else waiter.resolve(reply.result);
  }
}
