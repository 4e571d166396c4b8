import { NO_CLAIM } from "./ring-buffer.ts";

/** The refusals of both rings. They stand apart so that the functions that throw them stay small enough to be inlined. */

export function refuseRecord(type: number, length: number, maxMessageLength: number): never {
  throw new RangeError(
    `record must have a positive int32 type and 0 to ${maxMessageLength} bytes: type=${type} length=${length}`,
  );
}

export function refuseClaim(claimIndex: number): never {
  throw new Error(`the last claim must be committed or aborted first: index=${claimIndex}`);
}

export function refuseIndex(index: number, claimIndex: number): never {
  throw new Error(`not the open claim: index=${index} open=${claimIndex === NO_CLAIM ? "none" : claimIndex}`);
}

export function refuseShorter(length: number, claimed: number): never {
  throw new RangeError(`payload must not exceed its claim: length=${length} claimed=${claimed}`);
}

export function refuseDamaged(length: number, index: number, readPosition: number, readable: number): never {
  throw new Error(
    `damaged ring: record length=${length} index=${index} readPosition=${readPosition} readable=${readable}`,
  );
}

export function refuseAdvance(readPosition: number): never {
  throw new Error(`advance needs a record from next: readPosition=${readPosition}`);
}

export function refuseRelease(position: number, headPosition: number, readPosition: number): never {
  throw new RangeError(
    `release must be a record's edge from headPosition to readPosition: position=${position} ` +
      `headPosition=${headPosition} readPosition=${readPosition}`,
  );
}

export function refuseAction(action: unknown): never {
  throw new TypeError(`handler must return a ControlledAction (1 to 4): action=${String(action)}`);
}

export function refuseLostClaim(index: number, expected: number, found: number): never {
  throw new Error(
    `the claim was taken back by unblock, its record is lost: index=${index} header=${found} expected=${expected}`,
  );
}

export function refuseNestedRead(): never {
  throw new Error("a handler must not read from or unblock the ring that calls it");
}
