/** What the process ends with; listed in `millrace --help` and docs/reference/cli.md. */
export const EXIT = {
  /** Done. Also: the reader of our output has gone (`| head`), or an endless `sub` or `serve` was interrupted. */
  OK: 0,
  /** The broker, the network, the data folder or the input refused; `error CODE: message` says what. */
  FAILED: 1,
  /** The command line itself is wrong. */
  USAGE: 2,
  /** `doctor` found damage, all of which it can repair. */
  DAMAGED: 3,
  /** `doctor` found damage and repaired it all. */
  REPAIRED: 4,
  /** `doctor` found damage that it cannot repair. */
  NOT_REPAIRABLE: 5,
  /** SIGINT or SIGTERM before the work was complete, or a second signal. */
  INTERRUPTED: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
