// A service that two responders share, and a client that asks.
// node main.js [URL], with a broker running
import { type Client, connect, MillraceError } from "@millrace/client";

interface Sum {
  readonly numbers: readonly number[];
}

const REQUESTS = 20;
const TOPIC = "math.sum";

const [url = "ws://127.0.0.1:7070"] = process.argv.slice(2);
const answered = new Map<string, number>();

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One of the service's processes. Each request goes to one of them, whichever has room. */
async function startResponder(name: string): Promise<Client> {
  const client = await connect(url, { name });
  const responder = client.respond(TOPIC, (request) => {
    const { numbers } = request.value as Sum;
    // The one who asked gets this as an error.
    if (numbers.length === 0) throw new RangeError("nothing to add");
    answered.set(name, (answered.get(name) ?? 0) + 1);
    return numbers.reduce((sum, number) => sum + number, 0);
  });
  await responder.ready();
  return client;
}

/** The result, or the code and message of what went wrong. */
async function ask(client: Client, numbers: readonly number[]): Promise<string> {
  try {
    const reply = await client.request(TOPIC, { numbers } satisfies Sum, { timeoutMs: 5_000 });
    return String(reply.value);
  } catch (error) {
    return error instanceof MillraceError ? `${error.code}: ${error.message}` : String(error);
  }
}

const client = await connect(url);
await client.topics.create(TOPIC, { partitions: 2, durability: "memory" });

// Nobody is there to answer: that is known at once, not when the time is up.
say(`without a responder: ${await ask(client, [1, 2, 3])}`);

const responders = [await startResponder("one"), await startResponder("two")];
say(`1 + 2 + 3 = ${await ask(client, [1, 2, 3])}`);
say(`of nothing: ${await ask(client, [])}`);

const questions = Array.from({ length: REQUESTS }, (_, i) => [i, i]);
const answers = await Promise.all(questions.map((numbers) => ask(client, numbers)));
const right = answers.filter((answer, i) => answer === String(2 * i)).length;
say(`${right} of ${REQUESTS} right, answered by ${[...answered.keys()].sort().join(" and ")}`);

for (const responder of responders) await responder.close();
await client.close();
process.exitCode = right === REQUESTS ? 0 : 1;
