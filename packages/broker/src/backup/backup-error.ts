/** Stable names of what can go wrong with backups and on the control channel; listed in docs/reference/cli.md. */
export type BackupErrorCode =
  /** The two folders are one inside the other, or the destination holds something already. */
  | "FOLDER_NOT_USABLE"
  /** Another backup of this broker is under way. */
  | "BACKUP_RUNNING"
  | "BACKUP_FAILED"
  /** Files of a backup are missing: it was never completed, or somebody removed them. */
  | "BACKUP_INCOMPLETE"
  /** Files of a backup are not what they were when it was made. */
  | "BACKUP_DAMAGED"
  /** A newer release made it. */
  | "BACKUP_NEWER"
  /** The broker went away in the middle. */
  | "BROKER_GONE"
  | "ABORTED"
  /** On the control channel: what came is not a request. */
  | "BAD_REQUEST"
  | "LINE_TOO_LONG"
  | "UNSUPPORTED_VERSION"
  | "UNKNOWN_COMMAND"
  | "TOO_MANY_CONNECTIONS"
  /** The other side said nothing for too long. */
  | "TIMEOUT";

/** An error of a backup, a restore or the control channel. `code` is stable. */
export class BackupError extends Error {
  override readonly name: string = "BackupError";
  readonly code: BackupErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: BackupErrorCode,
    message: string,
    options: { readonly details?: Readonly<Record<string, unknown>>; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}
