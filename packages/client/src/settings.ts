import { LIMITS, MillraceError } from "@millrace/protocol";
import type { ConnectOptions } from "./api/client.ts";
import type { CloseConsumerOptions, ConsumeOptions, HandlerOptions } from "./api/consumer.ts";
import type { ProducerOptions } from "./api/producer.ts";
import type { SubscribeOptions } from "./api/subscription.ts";
import type { TlsOptions } from "./connection/transport.ts";

// Every default of the public options; the README's tables are tested against these.

const KIB = 1024;
const MIB = 1024 * KIB;

type WithoutDefault = "headers" | "signal" | "tls";
type Defaults<O> = { readonly [K in keyof O]-?: NonNullable<O[K]> };

/** Options of `connect` that have a default. */
export type ConnectDefaults = Defaults<Omit<ConnectOptions, WithoutDefault>>;

/** Options of `client.producer` with every default filled in. */
export type ProducerSettings = Defaults<ProducerOptions>;

/** Options of `client.subscribe` that have a default. */
export type SubscribeDefaults = Defaults<
  Pick<SubscribeOptions, "from" | "mode" | "windowBytes" | "untilEnd" | "verifyChecksums">
>;

/** Options of `connect` with every default filled in. */
export interface ConnectSettings extends ConnectDefaults {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly signal: AbortSignal | undefined;
  readonly tls: TlsOptions | undefined;
}

/** Options of `client.consume` that have a default of the client's. */
export type ConsumeDefaults = Defaults<
  Pick<
    ConsumeOptions,
    "create" | "maxLeaseMs" | "windowBytes" | "autoCommit" | "commitIntervalMs" | "verifyChecksums"
  > &
    HandlerOptions
>;

/** What a consumer goes by. */
export interface ConsumeSettings extends ConsumeDefaults {
  /** Messages at a time, of mode `queue` and `keyed`. */
  readonly prefetch: number;
}

export const CONNECT_DEFAULTS: ConnectDefaults = {
  name: "millrace-client",
  connectTimeoutMs: 10_000,
  retryFirstConnect: false,
  reconnect: true,
  reconnectBackoffMinMs: 100,
  reconnectBackoffMaxMs: 10_000,
  requestTimeoutMs: 30_000,
  pingIntervalMs: LIMITS.pingIntervalMs,
  deadAfterMs: LIMITS.deadAfterMs,
  closeTimeoutMs: 10_000,
  direct: true,
};

export const PRODUCER_DEFAULTS: ProducerSettings = {
  lingerMs: 1,
  batchBytes: 64 * KIB,
  maxBufferedBytes: 32 * MIB,
  maxWaitingSends: 1_000_000,
  deliveryTimeoutMs: 120_000,
  retryBackoffMs: 100,
  retryBackoffMaxMs: 5_000,
};

export const SUBSCRIBE_DEFAULTS: SubscribeDefaults = {
  from: "latest",
  mode: "stream",
  windowBytes: 8 * MIB,
  untilEnd: false,
  verifyChecksums: true,
};

export const CONSUME_DEFAULTS: ConsumeDefaults = {
  create: true,
  concurrency: 1,
  maxLeaseMs: 12 * 3_600_000,
  windowBytes: 8 * MIB,
  autoCommit: true,
  commitIntervalMs: 1_000,
  verifyChecksums: true,
};

/** Of `consumer.close`. */
const CLOSE_CONSUMER_TIMEOUT_MS = 30_000;
const CONCURRENCY_MAX = 65_535;

/** Of a partition: as many as a broker remembers the offsets of, should they have to be sent again. */
export const IN_FLIGHT_BATCHES_MAX = 64;
/** The same of single records, where each is a batch: 64 would be the records of one round trip. */
export const IN_FLIGHT_RECORDS_MAX = 4_096;

const BATCH_BYTES_MIN = KIB;
const BATCH_BYTES_MAX = MIB;
/** setTimeout turns a longer pause into none. */
export const TIMER_MS_MAX = 2_147_483_647;

/** @throws RangeError for a value out of its range */
export function connectSettings(url: string, options: ConnectOptions): ConnectSettings {
  const settings = {
    url,
    name: options.name ?? CONNECT_DEFAULTS.name,
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_DEFAULTS.connectTimeoutMs,
    retryFirstConnect: options.retryFirstConnect ?? CONNECT_DEFAULTS.retryFirstConnect,
    reconnect: options.reconnect ?? CONNECT_DEFAULTS.reconnect,
    reconnectBackoffMinMs: options.reconnectBackoffMinMs ?? CONNECT_DEFAULTS.reconnectBackoffMinMs,
    reconnectBackoffMaxMs: options.reconnectBackoffMaxMs ?? CONNECT_DEFAULTS.reconnectBackoffMaxMs,
    requestTimeoutMs: options.requestTimeoutMs ?? CONNECT_DEFAULTS.requestTimeoutMs,
    pingIntervalMs: options.pingIntervalMs ?? CONNECT_DEFAULTS.pingIntervalMs,
    deadAfterMs: options.deadAfterMs ?? CONNECT_DEFAULTS.deadAfterMs,
    closeTimeoutMs: options.closeTimeoutMs ?? CONNECT_DEFAULTS.closeTimeoutMs,
    direct: options.direct ?? CONNECT_DEFAULTS.direct,
    headers: options.headers,
    signal: options.signal,
    tls: options.tls,
  };
  checkRange("connectTimeoutMs", settings.connectTimeoutMs, 1, TIMER_MS_MAX);
  checkRange("reconnectBackoffMinMs", settings.reconnectBackoffMinMs, 1, TIMER_MS_MAX);
  checkRange("reconnectBackoffMaxMs", settings.reconnectBackoffMaxMs, 1, TIMER_MS_MAX);
  checkRange("requestTimeoutMs", settings.requestTimeoutMs, 1, TIMER_MS_MAX);
  checkRange("pingIntervalMs", settings.pingIntervalMs, 1, TIMER_MS_MAX);
  checkRange("deadAfterMs", settings.deadAfterMs, settings.pingIntervalMs, TIMER_MS_MAX);
  checkRange("closeTimeoutMs", settings.closeTimeoutMs, 0, TIMER_MS_MAX);
  return settings;
}

/** @throws RangeError for a value out of its range */
export function producerSettings(options: ProducerOptions): ProducerSettings {
  const settings = {
    lingerMs: options.lingerMs ?? PRODUCER_DEFAULTS.lingerMs,
    batchBytes: options.batchBytes ?? PRODUCER_DEFAULTS.batchBytes,
    maxBufferedBytes: options.maxBufferedBytes ?? PRODUCER_DEFAULTS.maxBufferedBytes,
    maxWaitingSends: options.maxWaitingSends ?? PRODUCER_DEFAULTS.maxWaitingSends,
    deliveryTimeoutMs: options.deliveryTimeoutMs ?? PRODUCER_DEFAULTS.deliveryTimeoutMs,
    retryBackoffMs: options.retryBackoffMs ?? PRODUCER_DEFAULTS.retryBackoffMs,
    retryBackoffMaxMs: options.retryBackoffMaxMs ?? PRODUCER_DEFAULTS.retryBackoffMaxMs,
  };
  checkRange("lingerMs", settings.lingerMs, 0, TIMER_MS_MAX);
  if (settings.batchBytes !== 0) {
    checkRange("batchBytes", settings.batchBytes, BATCH_BYTES_MIN, BATCH_BYTES_MAX);
  }
  checkRange("maxBufferedBytes", settings.maxBufferedBytes, 1, Number.MAX_SAFE_INTEGER);
  checkRange("maxWaitingSends", settings.maxWaitingSends, 0, Number.MAX_SAFE_INTEGER);
  checkRange("deliveryTimeoutMs", settings.deliveryTimeoutMs, 1, TIMER_MS_MAX);
  checkRange("retryBackoffMs", settings.retryBackoffMs, 1, TIMER_MS_MAX);
  checkRange("retryBackoffMaxMs", settings.retryBackoffMaxMs, 1, TIMER_MS_MAX);
  return settings;
}

/**
 * `more` only in the handler form.
 * @throws RangeError for a value out of its range
 */
export function consumeSettings(options: ConsumeOptions, more: HandlerOptions = {}): ConsumeSettings {
  const concurrency = more.concurrency ?? CONSUME_DEFAULTS.concurrency;
  const settings = {
    create: options.create ?? CONSUME_DEFAULTS.create,
    concurrency,
    prefetch: options.prefetch ?? concurrency,
    maxLeaseMs: options.maxLeaseMs ?? CONSUME_DEFAULTS.maxLeaseMs,
    windowBytes: options.windowBytes ?? CONSUME_DEFAULTS.windowBytes,
    autoCommit: options.autoCommit ?? CONSUME_DEFAULTS.autoCommit,
    commitIntervalMs: options.commitIntervalMs ?? CONSUME_DEFAULTS.commitIntervalMs,
    verifyChecksums: options.verifyChecksums ?? CONSUME_DEFAULTS.verifyChecksums,
  };
  checkInteger("concurrency", concurrency, 1, CONCURRENCY_MAX);
  checkInteger("prefetch", settings.prefetch, 1, LIMITS.slotsMax);
  checkRange("maxLeaseMs", settings.maxLeaseMs, 1, Number.MAX_SAFE_INTEGER);
  checkRange("commitIntervalMs", settings.commitIntervalMs, 1, TIMER_MS_MAX);
  windowBytesOf(settings.windowBytes, 0);
  return settings;
}

/** @throws RangeError for a value out of its range */
export function closeTimeoutMsOf({ timeoutMs = CLOSE_CONSUMER_TIMEOUT_MS }: CloseConsumerOptions): number {
  checkRange("timeoutMs", timeoutMs, 0, TIMER_MS_MAX);
  return timeoutMs;
}

/** The window of a subscription: at least one frame, since a smaller one could not be served at all. */
export function windowBytesOf(windowBytes: number | undefined, frameBytesMax: number): number {
  const wanted = windowBytes ?? SUBSCRIBE_DEFAULTS.windowBytes;
  checkRange("windowBytes", wanted, 1, Number.MAX_SAFE_INTEGER);
  return Math.max(wanted, frameBytesMax);
}

/** @throws RangeError for a value out of its range */
export function checkRange(name: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max)) {
    throw new RangeError(`${name} must be a number of ${min}..${max}: ${name}=${value}`);
  }
}

function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer of ${min}..${max}: ${name}=${value}`);
  }
}

/** The error for whatever comes after `close()`. */
export function closedError(what: string): MillraceError {
  return new MillraceError("CLOSED", `the ${what} is closed`);
}

/** The error for an AbortSignal that fired. */
export function abortedError(signal: AbortSignal): MillraceError {
  return new MillraceError("ABORTED", "aborted by the caller's signal", { cause: signal.reason });
}
