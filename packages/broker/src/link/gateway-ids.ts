/**
 * Ids of sessions, streams, consumers and requests as they pass through shards: `(gateway << 24) | local`. A shard's owner
 * finds the gateway that an answer is for without decoding it, and nothing of one gateway is taken for another's. `local` is
 * 1 to 2^24 - 1; bit 31 is never set, so an id is the same number in an Int32Array.
 */

/** Gateways of one cluster: 0 to GATEWAYS_MAX - 1. */
export const GATEWAYS_MAX = 127;

const LOCAL_BITS = 24;
const LOCAL_MAX = 2 ** LOCAL_BITS - 1;

/** The number of the gateway that gave out the id. */
export function gatewayOf(id: number): number {
  return id >>> LOCAL_BITS;
}

export interface GatewayIdsOptions {
  /** The lowest local part; default 1. */
  readonly first?: number;
  /** Any u32: where to begin, so that a gateway that is started again does not begin with the ids of the one before. */
  readonly start?: number;
}

/** Gives out one gateway's ids of one kind, in turn: an id that is free again is not used for long. */
export class GatewayIds {
  readonly gateway: number;
  /** As in the options. */
  readonly start: number;
  readonly #base: number;
  readonly #first: number;
  #last: number;

  /** @throws RangeError for a gateway or a first local part out of bounds */
  constructor(gateway: number, options: GatewayIdsOptions = {}) {
    const { first = 1, start = 0 } = options;
    if (!Number.isInteger(gateway) || gateway < 0 || gateway >= GATEWAYS_MAX) {
      throw new RangeError(`a gateway's number is 0 to ${GATEWAYS_MAX - 1}: gateway=${gateway}`);
    }
    if (!Number.isInteger(first) || first < 1 || first > LOCAL_MAX) {
      throw new RangeError(`local parts are 1 to ${LOCAL_MAX}: first=${first}`);
    }
    this.gateway = gateway;
    this.start = start;
    this.#base = gateway * (LOCAL_MAX + 1);
    this.#first = first;
    this.#last = first + ((start >>> 0) % (LOCAL_MAX + 1 - first)) - 1;
  }

  /**
   * @param isLive whether the id is in use
   * @throws RangeError when all of them are
   */
  next(isLive: (id: number) => boolean): number {
    for (let tries = LOCAL_MAX + 1 - this.#first; tries > 0; tries -= 1) {
      this.#last = this.#last >= LOCAL_MAX ? this.#first : this.#last + 1;
      const id = this.#base + this.#last;
      if (!isLive(id)) return id;
    }
    throw new RangeError(`all ids of gateway ${this.gateway} are in use`);
  }
}
