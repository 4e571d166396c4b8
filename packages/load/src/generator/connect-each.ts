import { LIMITS } from "../limits.ts";

/** Makes so many connections, a bounded number of them at a time. Rejects with the first that fails. */
export async function connectEach(count: number, connect: () => Promise<void>): Promise<void> {
  let begun = 0;
  const inTurn = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      await connect();
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, LIMITS.connectingMax) }, inTurn));
}
