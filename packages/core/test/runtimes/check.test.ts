import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";
import { OneToOneRingBuffer } from "../../src/index.ts";
import { allocateExchange, Echo, Origin } from "./exchange.ts";

t.test("the check program for other runtimes passes on this one", async (t) => {
  const file = fileURLToPath(new URL("./check.js", import.meta.url));
  // tap puts a loader of its own into every process that is spawned; `env` takes it away.
  const child = spawn("env", ["-u", "NODE_OPTIONS", process.execPath, file], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  t.equal(code, 0, output);
  const passed = [
    "ok copyBytes",
    "ok structures",
    "ok worker <-> worker",
    "ok parked event loop",
    "check passed",
  ];
  for (const line of passed) t.match(output, line);
});

t.test("an exchange notices each record that comes back wrong", async (t) => {
  const damages: Record<string, (ring: OneToOneRingBuffer) => void> = {
    nothing: () => {},
    byte: ({ bytes }) => {
      bytes[108] = (bytes[108] as number) ^ 1;
    },
    type: ({ words }) => {
      words[1] = 77;
    },
    length: ({ words }) => {
      words[0] = (words[0] as number) - 1;
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    for (const direction of ["there", "back"] as const) {
      const memory = allocateExchange(3, 1);
      const [origin, echo] = [new Origin(memory), new Echo(memory)];
      origin.step();
      if (direction === "there") damage(OneToOneRingBuffer.attach(memory.there));
      const rest = (): void => {
        echo.step();
        if (direction === "back") damage(OneToOneRingBuffer.attach(memory.back));
        origin.step();
      };
      if (name !== "nothing") t.throws(rest, { message: /^(record 0: |checksum)/ }, `${name}, ${direction}`);
      else {
        rest();
        t.ok(origin.done && echo.done);
      }
    }
  }
});
