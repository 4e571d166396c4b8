import type { Clock } from "../system-clock.ts";

export type LogFormat = "pretty" | "json";

/** Where the broker says what it does; the shape that `createBroker` takes. */
export interface BrokerLog {
  log(
    level: "debug" | "info" | "warn" | "error",
    event: string,
    fields?: Readonly<Record<string, unknown>>,
  ): void;
}

/**
 * The log of `millrace serve`. `json`: one object a line with time (ISO 8601), level, event and the event's fields.
 * `pretty`: time, level, event, `name=value` pairs. Debug lines are left out unless `debug` is set.
 */
export function createBrokerLog(
  write: (line: string) => void,
  format: LogFormat,
  clock: Clock,
  debug = false,
): BrokerLog {
  return {
    log(level, event, fields = {}) {
      if (level === "debug" && !debug) return;
      const time = new Date(clock.wallMs()).toISOString();
      if (format === "json") write(JSON.stringify({ time, level, event, ...fields }, errorReplacer));
      else write(prettyLine(time, level, event, fields));
    },
  };
}

function prettyLine(
  time: string,
  level: string,
  event: string,
  fields: Readonly<Record<string, unknown>>,
): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${prettyValue(value)}`);
  return [time.slice(11, 23), level.padEnd(5), event, ...pairs].join(" ");
}

function prettyValue(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === "string") return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value, errorReplacer) ?? String(value);
}

/** JSON shows an Error as {} and refuses a bigint. */
function errorReplacer(_name: string, value: unknown): unknown {
  if (value instanceof Error) {
    const code = "code" in value ? value.code : undefined;
    return { name: value.name, code, message: value.message, stack: value.stack };
  }
  return typeof value === "bigint" ? value.toString() : value;
}
