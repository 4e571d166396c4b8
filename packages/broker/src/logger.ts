export type LogLevel = "debug" | "info" | "warn" | "error";

/** Where the broker says what it does. `event` is a stable name, `fields` are plain data. */
export interface Logger {
  log(level: LogLevel, event: string, fields?: Record<string, unknown>): void;
}

export const SILENT_LOGGER: Logger = { log(): void {} };
