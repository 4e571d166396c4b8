import { type NodeClient, NodeRefusal } from "./node-client.ts";
import { afterPendingInput } from "./pending-input.ts";

/** Who is told; without a connection nobody is. */
type Told = { readonly client: NodeClient | undefined } | undefined;

/** Tells a node to open a shard. Undefined: what became of it is not known, and the node's next hello, or its end, will tell. */
export async function openShard(
  node: Told,
  shardId: number,
): Promise<{ readonly epoch: number } | NodeRefusal | undefined> {
  try {
    return await node?.client?.request("open", { shardId });
  } catch (error) {
    return error instanceof NodeRefusal ? error : undefined;
  }
}

/** The same for closing; anything but "closed" says why nobody knows whether the node still has the shard. */
export async function closeShard(node: Told, shardId: number, msMax: number): Promise<string | undefined> {
  const client = node?.client;
  if (client === undefined) return undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => {
      afterPendingInput(() => resolve(`no answer within ${msMax} ms`));
    }, msMax);
  });
  const closed = client.request("close", { shardId }).then(() => "closed");
  try {
    return await Promise.race([closed, late]);
  } catch (error) {
    // One that ends closes everything.
    if (!(error instanceof NodeRefusal) || error.code === "DRAINING") return undefined;
    return `${error.code}: ${error.message}`;
  } finally {
    clearTimeout(timer);
    closed.catch(() => {});
  }
}
