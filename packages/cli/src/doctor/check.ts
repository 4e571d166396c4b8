/** What `doctor` has found out about the machine or the configuration. */
export interface Check {
  readonly name: "configuration" | "versions" | "cores" | "open files" | "data folder" | "volume" | "port";
  /** `failed`: a start would fail, or must not succeed. */
  readonly state: "ok" | "warning" | "failed";
  readonly sentence: string;
  /** What to do about it. */
  readonly advice?: string;
}
