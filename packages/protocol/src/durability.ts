/** What an ACK promises, weakest first: as a number on the wire, as a name in topic settings and interfaces. */
export const DURABILITY = { memory: 1, written: 2, fsynced: 3 } as const;

export type Durability = keyof typeof DURABILITY;

const names: readonly (Durability | undefined)[] = [undefined, "memory", "written", "fsynced"];

/** The name of a durability's number on the wire, or undefined for one of a newer peer. */
export function durabilityName(number: number): Durability | undefined {
  return names[number];
}

export function isDurability(value: unknown): value is Durability {
  return typeof value === "string" && Object.hasOwn(DURABILITY, value);
}
