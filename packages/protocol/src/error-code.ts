/** What an error code means to a machine: its number on the wire, and whether the same request may succeed later. */
export interface ErrorCode {
  readonly code: number;
  readonly retriable: boolean;
}

/** Every name an error can carry. Append-only, as are the numbers. */
export type ErrorName =
  | "MALFORMED_FRAME"
  | "FRAME_TOO_LARGE"
  | "UNKNOWN_FRAME_TYPE"
  | "UNSUPPORTED_VERSION"
  | "UNSUPPORTED_FEATURE"
  | "NOT_AUTHORIZED"
  | "HELLO_EXPECTED"
  | "HELLO_TIMEOUT"
  | "TEXT_FRAME"
  | "CREDIT_EXCEEDED"
  | "TOO_MANY_SESSIONS"
  | "SESSION_TIMEOUT"
  | "SERVER_DRAINING"
  | "INTERNAL"
  | "UNKNOWN_TOPIC"
  | "UNKNOWN_PARTITION"
  | "TOPIC_EXISTS"
  | "INVALID_TOPIC_NAME"
  | "INVALID_TOPIC_CONFIG"
  | "PARTITIONS_FIXED"
  | "TOPIC_DELETED"
  | "TOO_MANY_TOPICS"
  | "CATALOG_BEHIND"
  | "INVALID_BATCH"
  | "CHECKSUM_MISMATCH"
  | "COUNT_MISMATCH"
  | "RECORD_TOO_LARGE"
  | "OUT_OF_SEQUENCE"
  | "DUPLICATE_SEQUENCE"
  | "UNKNOWN_PRODUCER"
  | "PRODUCER_FENCED"
  | "THROTTLED"
  | "DISK_FULL"
  | "JOURNAL_FAILED"
  | "SHARD_RESTARTED"
  | "BATCH_TOO_LARGE"
  | "UNKNOWN_SUBSCRIPTION"
  | "SUBSCRIPTION_EXISTS"
  | "OFFSET_OUT_OF_RANGE"
  | "LOG_EPOCH_CHANGED"
  | "CREDIT_TOO_SMALL"
  | "TOO_MANY_SUBSCRIPTIONS"
  | "READ_FAILED"
  | "INVALID_FROM"
  | "TOO_MANY_REQUESTS"
  | "SUBSCRIPTION_MODE"
  | "INVALID_SUBSCRIPTION_NAME"
  | "INVALID_SUBSCRIPTION_CONFIG"
  | "LEASE_EXPIRED"
  | "ASSIGNMENT_LOST"
  | "UNKNOWN_CONSUMER"
  | "UNKNOWN_SNAPSHOT"
  | "NO_RESPONDERS"
  | "TOPIC_FULL"
  | "SUBSCRIPTION_DELETED"
  | "INVALID_PATTERN"
  | "INVALID_REQUEST"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "REQUEST_TOO_LARGE"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "REQUEST_TIMEOUT"
  | "ACK_TIMEOUT"
  | "CONNECTION_LOST"
  | "TIMEOUT"
  | "CLOSED"
  | "ABORTED"
  | "CONNECT_FAILED"
  | "BUFFER_FULL"
  | "REQUEST_FAILED"
  | "DATA_DIR_IN_USE"
  | "SHARD_COUNT_FIXED"
  | "PORT_IN_USE"
  | "DATA_FORMAT_NEWER"
  | "JOURNAL_DAMAGED"
  | "INSECURE_HOST"
  | "JOURNAL_QUARANTINED"
  | "ADDRESS_NOT_AVAILABLE"
  | "PORT_FORBIDDEN"
  | "DATA_DIR_UNUSABLE"
  | "NATIVE_MODULE_MISSING"
  | "TLS_FILE_UNREADABLE"
  | "TLS_FILE_INVALID"
  | "TLS_KEY_MISMATCH"
  | "TLS_CERTIFICATE_EXPIRED"
  | "NODES_FAILED";

const final = (code: number): ErrorCode => ({ code, retriable: false });
const retriable = (code: number): ErrorCode => ({ code, retriable: true });

/**
 * The error table: below 1000 on the wire, from 1000 made by the client alone, from 2000 by a broker that does not
 * start. A number is never given to another meaning.
 */
export const ERROR_CODES: Readonly<Record<ErrorName, ErrorCode>> = {
  MALFORMED_FRAME: final(1),
  FRAME_TOO_LARGE: final(2),
  UNKNOWN_FRAME_TYPE: final(3),
  UNSUPPORTED_VERSION: final(4),
  UNSUPPORTED_FEATURE: final(5),
  NOT_AUTHORIZED: final(6),
  HELLO_EXPECTED: final(7),
  HELLO_TIMEOUT: final(8),
  TEXT_FRAME: final(9),
  CREDIT_EXCEEDED: final(10),
  TOO_MANY_SESSIONS: final(11),
  SESSION_TIMEOUT: final(12),
  SERVER_DRAINING: retriable(13),
  INTERNAL: retriable(14),
  UNKNOWN_TOPIC: final(20),
  UNKNOWN_PARTITION: final(21),
  TOPIC_EXISTS: final(22),
  INVALID_TOPIC_NAME: final(23),
  INVALID_TOPIC_CONFIG: final(24),
  PARTITIONS_FIXED: final(25),
  TOPIC_DELETED: final(26),
  TOO_MANY_TOPICS: final(27),
  CATALOG_BEHIND: retriable(28),
  INVALID_BATCH: final(30),
  CHECKSUM_MISMATCH: final(31),
  COUNT_MISMATCH: final(32),
  RECORD_TOO_LARGE: final(33),
  OUT_OF_SEQUENCE: retriable(34),
  DUPLICATE_SEQUENCE: final(35),
  UNKNOWN_PRODUCER: final(36),
  PRODUCER_FENCED: final(37),
  THROTTLED: retriable(38),
  DISK_FULL: retriable(39),
  JOURNAL_FAILED: final(40),
  SHARD_RESTARTED: retriable(41),
  BATCH_TOO_LARGE: final(42),
  UNKNOWN_SUBSCRIPTION: final(50),
  SUBSCRIPTION_EXISTS: final(51),
  OFFSET_OUT_OF_RANGE: final(52),
  LOG_EPOCH_CHANGED: final(53),
  CREDIT_TOO_SMALL: final(54),
  TOO_MANY_SUBSCRIPTIONS: final(55),
  READ_FAILED: retriable(56),
  INVALID_FROM: final(57),
  TOO_MANY_REQUESTS: retriable(58),
  SUBSCRIPTION_MODE: final(59),
  INVALID_SUBSCRIPTION_NAME: final(60),
  INVALID_SUBSCRIPTION_CONFIG: final(61),
  LEASE_EXPIRED: final(62),
  ASSIGNMENT_LOST: final(63),
  UNKNOWN_CONSUMER: final(64),
  UNKNOWN_SNAPSHOT: final(65),
  NO_RESPONDERS: retriable(66),
  TOPIC_FULL: retriable(67),
  SUBSCRIPTION_DELETED: final(68),
  INVALID_PATTERN: final(69),
  INVALID_REQUEST: final(70),
  NOT_FOUND: final(71),
  METHOD_NOT_ALLOWED: final(72),
  REQUEST_TOO_LARGE: final(73),
  UNSUPPORTED_MEDIA_TYPE: final(74),
  REQUEST_TIMEOUT: retriable(75),
  ACK_TIMEOUT: retriable(76),
  CONNECTION_LOST: retriable(1000),
  TIMEOUT: retriable(1001),
  CLOSED: final(1002),
  ABORTED: final(1003),
  CONNECT_FAILED: retriable(1004),
  BUFFER_FULL: retriable(1005),
  REQUEST_FAILED: final(1006),
  DATA_DIR_IN_USE: final(2000),
  SHARD_COUNT_FIXED: final(2001),
  PORT_IN_USE: final(2002),
  DATA_FORMAT_NEWER: final(2003),
  JOURNAL_DAMAGED: final(2004),
  INSECURE_HOST: final(2005),
  JOURNAL_QUARANTINED: final(2006),
  ADDRESS_NOT_AVAILABLE: final(2007),
  PORT_FORBIDDEN: final(2008),
  DATA_DIR_UNUSABLE: final(2009),
  NATIVE_MODULE_MISSING: final(2010),
  TLS_FILE_UNREADABLE: final(2011),
  TLS_FILE_INVALID: final(2012),
  TLS_KEY_MISMATCH: final(2013),
  TLS_CERTIFICATE_EXPIRED: final(2014),
  NODES_FAILED: final(2015),
};

const namesByNumber: ReadonlyMap<number, ErrorName> = new Map(
  Object.entries(ERROR_CODES).map(([name, { code }]) => [code, name as ErrorName]),
);

/** The name of a number on the wire, or undefined for a number of a newer peer. */
export function errorNameOf(code: number): ErrorName | undefined {
  return namesByNumber.get(code);
}
