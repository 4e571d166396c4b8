// @ts-expect-error The package has no types.
import untyped from "autocannon";

/** The part of autocannon's API that is used here; the package has no types. */
export interface AutocannonOptions {
  readonly url: string;
  readonly method: "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  readonly pipelining: number;
  /** Seconds. */
  readonly duration: number;
  readonly setupClient: (client: AutocannonClient) => void;
}

/** One connection. */
export interface AutocannonClient {
  on(event: "response", listener: (statusCode: number, bytes: number, responseTimeMs: number) => void): void;
}

/** Resolves when it is over. */
export interface AutocannonRun extends Promise<unknown> {
  stop(): void;
}

export const autocannon: (options: AutocannonOptions) => AutocannonRun = untyped as (
  options: AutocannonOptions,
) => AutocannonRun;
