/** Who calls. */
export interface RpcCaller {
  readonly nodeId: number;
  readonly run: number;
}

/** @returns what MessagePack can carry, or a promise of it; what it throws reaches the caller as MillraceError. */
export type RpcHandler = (args: readonly unknown[], caller: RpcCaller) => unknown;

/** What other nodes may call, by name; may grow and shrink while links are up. */
export type RpcHandlers = ReadonlyMap<string, RpcHandler>;
