import type { Responder } from "../driver/driver.ts";
import { connectEach } from "./connect-each.ts";
import type { LoadContext } from "./load-context.ts";
import type { RoleResult, RoleWork } from "./load-role.ts";

/** Answers over all connections of a task; the driver's client does so by itself. */
export class Responding implements RoleWork {
  readonly #context: LoadContext;
  readonly #responders: Responder[] = [];

  constructor(context: LoadContext) {
    this.#context = context;
  }

  async connect(): Promise<void> {
    const { driver, task } = this.#context;
    if (driver.connectResponder === undefined) throw new Error(`${driver.client} has no responders`);
    const connectResponder = driver.connectResponder.bind(driver);
    await connectEach(task.connections, async () => {
      this.#responders.push(await connectResponder(task.settings));
    });
  }

  start(): void {
    // Responders have begun when they were connected.
  }

  stop(): void {
    // They answer as long as somebody asks.
  }

  abort(): void {
    // They send nothing.
  }

  async drained(): Promise<void> {
    // The requesters have drained.
  }

  missing(): number {
    return 0;
  }

  async close(): Promise<void> {
    await Promise.all(this.#responders.map((responder) => responder.close()));
  }

  result(): RoleResult {
    return { heldBack: 0 };
  }
}
