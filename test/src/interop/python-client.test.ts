// Runs against one process: what is on the wire does not depend on the processes behind it.
import { join } from "node:path";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { OwnedProcess } from "../harness/owned-process.ts";
import { readAll, valuesOf } from "../harness/reading.ts";
import { REPOSITORY } from "../harness/repository.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";

const CLIENT = join(REPOSITORY, "examples", "python", "millrace_client.py");
const MODULES = ["websockets", "msgpack"];
/** Where there is no network pip tries for long; then there is nothing to test with. */
const INSTALL_PATIENCE_MS = 60_000;

const python = await pythonWithModules(t);

t.test("the Python client", { skip: python === undefined && "no Python with its modules" }, async (t) => {
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
  const sdk = await connectedClient(t, broker.url);
  const run = async (command: string, topic: string, count: number): Promise<string[]> => {
    const args = [CLIENT, broker.url, command, topic, String(count)];
    const process = new OwnedProcess(t, python as string, args, { env: { PYTHONIOENCODING: "utf-8" } });
    const exit = await inTime(process.exited, `${command} to end`);
    t.same(exit, { code: 0, signal: null }, process.stderr);
    return process.lines;
  };

  await sdk.topics.create("from-python", { partitions: 3 });
  const count = 2050;
  t.same(await run("publish", "from-python", count), [`${count} records acknowledged`]);
  const expected = Array.from({ length: count }, (_, i) => `value ${i}`);
  const stored = await readAll(sdk, "from-python");
  t.same(valuesOf(stored).sort(), [...expected].sort(), "the SDK reads what it published");
  const read = await run("read", "from-python", count);
  t.same(
    read.map((line) => line.replace(/^(\d+ \d+) \d+ /, "$1 ")).sort(),
    stored.map(({ partition, offset, value }) => `${partition} ${offset} None None ${value}`).sort(),
    "it reads the same at the same offsets",
  );

  await sdk.topics.create("from-sdk", { partitions: 1 });
  const producer = sdk.producer("from-sdk");
  await producer.send({
    key: "k",
    headers: { trace: "t" },
    value: { name: "Zoë", list: [1, -2, 0.5, null] },
  });
  await producer.send({ value: Buffer.from([0, 255]) });
  await producer.flush();
  const [first, second] = await run("read", "from-sdk", 2);
  t.match(first, /^0 0 \d+ k \{'trace': 't'\} \{'name': 'Zoë', 'list': \[1, -2, 0\.5, None\]\}$/);
  t.match(second, /^0 1 \d+ None None b'\\x00\\xff'$/);
});

/** A Python that imports what the client needs, if need be from a virtual environment made for it. */
async function pythonWithModules(t: Test): Promise<string | undefined> {
  const run = async (command: string, ...args: string[]): Promise<boolean> => {
    const process = new OwnedProcess(t, command, args);
    try {
      return (await inTime(process.exited, `${command} ${args.join(" ")}`, INSTALL_PATIENCE_MS)).code === 0;
    } catch (error) {
      t.comment(String(error));
      await process.kill("SIGKILL");
      return false;
    }
  };
  const needed = `import ${MODULES.join()}`;
  if (await run("python3", "-c", needed)) return "python3";
  const folder = temporaryFolder(t);
  const python = join(folder, "bin", "python");
  const isReady =
    (await run("python3", "-m", "venv", folder)) &&
    (await run(python, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "10", ...MODULES)) &&
    (await run(python, "-c", needed));
  if (isReady) return python;
  t.comment(`no python3 that can import ${MODULES.join(" and ")}, and pip could not install them`);
  return undefined;
}
