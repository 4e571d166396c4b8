export type { Codec } from "./codec.ts";
export { jsonCodec } from "./json-codec.ts";
export { TypedChannel, type TypedChannelOptions, VALUE_RECORD_TYPE } from "./typed-channel.ts";
