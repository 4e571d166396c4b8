import { Packr } from "msgpackr";
import type { StateChange } from "./shard-state.ts";

const packr = new Packr({ useRecords: false });

/** Payload of a STATE entry: a MessagePack array of changes that apply together. */
export function encodeStateChanges(changes: readonly StateChange[]): Uint8Array {
  return packr.pack(changes);
}

export function decodeStateChanges(payload: Uint8Array): StateChange[] {
  return packr.unpack(payload) as StateChange[];
}
