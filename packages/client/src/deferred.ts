import type { MillraceError } from "@millrace/protocol";

/** `promise`, whose failure may be left unheard: whoever awaits it is told all the same. */
export function ignorable<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** A promise that rejects, and may be left unheard. */
export function refusal(error: MillraceError): Promise<never> {
  return ignorable(Promise.reject(error));
}

/** A promise, settled from outside, whose failure may be left unheard. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor() {
    const executor = (resolve: (value: T) => void, reject: (error: unknown) => void): void => {
      this.resolve = resolve;
      this.reject = reject;
    };
    this.promise = ignorable(new Promise<T>(executor));
  }
}
