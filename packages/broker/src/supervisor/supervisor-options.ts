import type { Logger } from "../logger.ts";
import type { SupervisorLimits } from "./supervisor-limits.ts";

export interface SupervisorOptions {
  readonly dataDir: string;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly nodes: number;
  /** Fixed when the data folder is made. */
  readonly shards?: number | undefined;
  /** The program of a node's process; it finds its NodeSettings in the environment. */
  readonly nodeEntry: URL;
  /** What the nodes are told besides, JSON; also of the nodes that are adopted, which are restarted if they were told otherwise. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The settings as they are by now, for a restart. */
  readonly reload?: () => Promise<Readonly<Record<string, unknown>>>;
  /** Breaks off the start: the nodes drain, those that were adopted as well. */
  readonly signal?: AbortSignal | undefined;
  readonly logger: Logger;
  /** For tests: what runs `nodeEntry` instead of this process's Node; it must not fork. */
  readonly nodeCommand?: readonly string[];
  /** For tests. */
  readonly limits?: Partial<SupervisorLimits>;
}

/** What the program of a node is told, as JSON, by the environment variable NODE_SETTINGS_VARIABLE. */
export interface NodeSettings {
  readonly dataDir: string;
  readonly nodeId: number;
  /** That all nodes share. */
  readonly host: string;
  readonly port: number;
  /** To be written into its NodeFile. */
  readonly options: string;
  readonly settings: Readonly<Record<string, unknown>>;
}
