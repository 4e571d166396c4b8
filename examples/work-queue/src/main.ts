// Three workers share a queue of e-mails. One of them fails at random, and a few e-mails nobody can send.
// node main.js [URL], with a broker running
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, connect, type Message } from "@millrace/client";

interface Email {
  readonly to: string;
  readonly template: string;
}

const EMAILS = 200;
const BROKEN_EMAILS = 3;
const TOPIC = "emails";
const SUBSCRIPTION = "senders";

const [url = "ws://127.0.0.1:7070"] = process.argv.slice(2);
let isTemplateFixed = false;
const sent = new Map<string, number>();

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A worker is a client that consumes the subscription; as a rule it is a process of its own. Start as many as you like. */
async function startWorker(name: string, failuresPercent: number): Promise<{ stop(): Promise<void> }> {
  const client = await connect(url, { name });
  let failures = 0;

  // Returning acks the message; throwing nacks it, so that somebody gets it again after a pause.
  async function send(message: Message): Promise<void> {
    const email = message.value as Email;
    await sleep(randomInt(1, 10));
    if (randomInt(100) < failuresPercent) throw new Error("the mail server hung up");
    if (email.template === "welcom" && !isTemplateFixed) throw new Error(`no template ${email.template}`);
    sent.set(email.to, (sent.get(email.to) ?? 0) + 1);
  }

  const worker = client.consume(
    TOPIC,
    // What stands here after the mode is for the subscription's creation. The pauses are short, for the example's sake.
    { subscription: SUBSCRIPTION, mode: "queue", maxDeliveries: 5, backoffMinMs: 20, backoffMaxMs: 200 },
    send,
    { concurrency: 4 },
  );
  worker.on("error", () => {
    failures++;
  });
  await worker.ready();
  return {
    // Closing finishes what is in hand, and gives back what was not begun.
    stop: async () => {
      await client.close();
      say(`${name} stopped, ${failures} failures`);
    },
  };
}

/** Waits until the subscription has nothing to do any more. */
async function finished(client: Client): Promise<void> {
  for (;;) {
    const { lag } = await client.subscriptions.describe(TOPIC, SUBSCRIPTION);
    if (lag === 0) return;
    await sleep(50);
  }
}

const client = await connect(url);
await client.topics.create(TOPIC, { partitions: 2 });

// The third worker loses every third e-mail. More workers than partitions are fine: a queue hands out single messages.
const workers = [await startWorker("ann", 0), await startWorker("bob", 0), await startWorker("eve", 33)];

const producer = client.producer(TOPIC);
for (let i = 0; i < EMAILS; i++) {
  const template = i < BROKEN_EMAILS ? "welcom" : "welcome";
  await producer.send({ value: { to: `user-${i}@example.org`, template } satisfies Email });
}
say(`published ${EMAILS} e-mails`);

await finished(client);
const { redelivered, dead, deadLetterTopic } = await client.subscriptions.describe(TOPIC, SUBSCRIPTION);
say(
  `${sent.size} e-mails sent, ${redelivered} deliveries repeated, ${dead} dead letters in ${deadLetterTopic}`,
);
for (const letter of await client.deadLetters.list(TOPIC)) {
  const { to, template } = letter.value as Email;
  say(`dead letter: ${to} (${template}), ${letter.reason} after ${letter.deliveryCount} deliveries`);
}

// Somebody corrects the template, and gives the dead letters back to where they came from.
isTemplateFixed = true;
say(`redriven: ${await client.deadLetters.redrive(TOPIC)}`);
await finished(client);

for (const worker of workers) await worker.stop();
await client.close();
const isComplete = sent.size === EMAILS && [...sent.values()].every((times) => times === 1);
say(
  isComplete ? `ok: ${sent.size} e-mails sent, each once` : `failed: ${sent.size} of ${EMAILS} e-mails sent`,
);
process.exitCode = isComplete ? 0 : 1;
