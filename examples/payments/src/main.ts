// Payments of many accounts, worked on by several workers: those of one account in their order and one at a time, those of
// different accounts side by side.
// node main.js [URL], with a broker running
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type Message } from "@millrace/client";

interface Payment {
  readonly account: string;
  /** 1, 2, 3, … of this account. */
  readonly number: number;
  readonly amount: number;
}

interface Account {
  balance: number;
  lastNumber: number;
  isBusy: boolean;
}

const ACCOUNTS = 25;
const PAYMENTS_PER_ACCOUNT = 20;
const WORKERS = 3;
const TOPIC = "payments";

const [url = "ws://127.0.0.1:7070"] = process.argv.slice(2);
const accounts = new Map<string, Account>();
const mistakes: string[] = [];
let booked = 0;
let retries = 0;
let busyAccounts = 0;
let busyAccountsMost = 0;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Books one payment; every tenth time the bank does not answer, and the payment has to be tried again. */
async function book(message: Message): Promise<void> {
  const { account: name, number, amount } = message.value as Payment;
  const account = accounts.get(name) ?? { balance: 0, lastNumber: 0, isBusy: false };
  accounts.set(name, account);
  if (account.isBusy) mistakes.push(`${name}: two payments at once`);
  account.isBusy = true;
  busyAccounts++;
  busyAccountsMost = Math.max(busyAccountsMost, busyAccounts);
  await sleep(randomInt(1, 5));
  account.isBusy = false;
  busyAccounts--;
  if (randomInt(10) === 0) {
    retries++;
    // Whatever comes after it for this account waits until it is done with.
    await message.nack({ delayMs: 20 });
    return;
  }
  if (number !== account.lastNumber + 1) mistakes.push(`${name}: ${number} after ${account.lastNumber}`);
  account.lastNumber = number;
  account.balance += amount;
  booked++;
}

const client = await connect(url);
// Keyed subscriptions keep the order of keys whatever the number of partitions and of workers.
await client.topics.create(TOPIC, { partitions: 2 });
// Without a bound on deliveries nothing is given up: a payment holds up its account until it is booked.
await client.subscriptions.create(TOPIC, "bank", { mode: "keyed", maxDeliveries: 0 });

const workers = await Promise.all(
  Array.from({ length: WORKERS }, async (_, i) => {
    const worker = await connect(url, { name: `worker-${i + 1}` });
    await worker.consume(TOPIC, { subscription: "bank" }, book, { concurrency: 4 }).ready();
    return worker;
  }),
);

const producer = client.producer(TOPIC);
const total = ACCOUNTS * PAYMENTS_PER_ACCOUNT;
for (let number = 1; number <= PAYMENTS_PER_ACCOUNT; number++) {
  for (let i = 0; i < ACCOUNTS; i++) {
    const account = `account-${i}`;
    void producer.append({
      key: account,
      value: { account, number, amount: number * 100 } satisfies Payment,
    });
  }
}
await producer.flush();
say(`published ${total} payments of ${ACCOUNTS} accounts`);

while ((await client.subscriptions.describe(TOPIC, "bank")).lag > 0) await sleep(50);
for (const worker of workers) await worker.close();
await client.close();

say(
  `${booked} booked by ${WORKERS} workers, ${retries} tried again, up to ${busyAccountsMost} accounts at a time`,
);
for (const mistake of mistakes) say(mistake);
const isRight = booked === total && mistakes.length === 0;
say(isRight ? "ok: every account in its order, one payment at a time" : "failed");
process.exitCode = isRight ? 0 : 1;
