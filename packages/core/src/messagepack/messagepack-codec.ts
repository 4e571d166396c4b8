import { type Options, Packr } from "msgpackr";
import type { Codec } from "../typed/codec.ts";

/**
 * MessagePack by way of msgpackr, which the application has to install: plain MessagePack, objects as maps, unless `options` say
 * otherwise. Options that make one message depend on earlier ones (`structures`) need both ends to agree.
 *
 * Binary fields are copied whatever the options say, since the memory that is decoded is used again.
 *
 * @returns a codec, for one thread.
 */
export function messagePackCodec<T>(options: Options = {}): Codec<T> {
  const packr = new Packr({ useRecords: false, ...options, copyBuffers: true });
  return {
    encode: (value) => packr.pack(value),
    decode: (source, length) => packr.unpack(source.subarray(0, length)) as T,
  };
}
