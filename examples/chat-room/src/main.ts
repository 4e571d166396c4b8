// A chat: a topic a room, and one for who is there. Nobody's place in it is kept by the broker: everyone reads live.
// node main.js [URL], with a broker running
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, connect, type Message } from "@millrace/client";

const [url = "ws://127.0.0.1:7070"] = process.argv.slice(2);

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Somebody in the chat, and what stands on their screen. */
class Person {
  readonly #client: Client;
  readonly #name: string;
  readonly screen: string[] = [];
  readonly present: Map<string, string> = new Map();

  private constructor(client: Client, name: string) {
    this.#client = client;
    this.#name = name;
  }

  static async enter(name: string): Promise<Person> {
    const client = await connect(url, { name });
    const person = new Person(client, name);
    // All rooms by a wildcard, those that are opened later too, beginning with the last three lines of each.
    const rooms = client.consume("chat.room.*", { mode: "live", replay: { records: 3 } }, (line) =>
      person.#show(line),
    );
    // Who is there: the newest record of each key, then every change.
    const presence = client.consume(
      "chat.presence",
      { mode: "live", lastValuePerKey: {} },
      ({ key, value }) => person.present.set(String(key), String(value)),
    );
    await Promise.all([rooms.ready(), presence.ready()]);
    await person.#is("here");
    return person;
  }

  async write(room: string, text: string): Promise<void> {
    await this.#client.producer(`chat.room.${room}`).send({ key: this.#name, value: text });
  }

  async leave(): Promise<void> {
    await this.#is("away");
    await this.#client.close();
  }

  #show({ topic, key, value }: Message): void {
    this.screen.push(`${topic.slice("chat.room.".length)} <${key}> ${value}`);
  }

  async #is(state: string): Promise<void> {
    await this.#client.producer("chat.presence").send({ key: this.#name, value: state });
  }
}

/** Until the last line has come. */
async function reads(person: Person, line: string): Promise<void> {
  while (!person.screen.includes(line)) await sleep(10);
}

const client = await connect(url);
await client.topics.create("chat.presence", { durability: "memory" });
await client.topics.create("chat.room.garden");

const ann = await Person.enter("ann");
await ann.write("garden", "Is anybody here?");
await ann.write("garden", "It is raining.");
const bob = await Person.enter("bob");
await bob.write("garden", "Come in, then.");
await bob.write("garden", "There is tea.");
await reads(ann, "garden <bob> There is tea.");

// Ann's wildcard covers a room that did not exist when she came.
await client.topics.create("chat.room.kitchen");
await bob.write("kitchen", "Over here!");
await reads(ann, "kitchen <bob> Over here!");
await ann.leave();

// Cid comes late: he sees the last three lines of each room, and how everybody is.
const cid = await Person.enter("cid");
await reads(cid, "garden <bob> There is tea.");
await reads(cid, "kitchen <bob> Over here!");
while (!cid.present.has("cid")) await sleep(10);

for (const line of ann.screen) say(`ann reads: ${line}`);
for (const line of cid.screen) say(`cid reads: ${line}`);
for (const [name, state] of [...cid.present].sort()) say(`cid sees: ${name} is ${state}`);
await bob.leave();
await cid.leave();
await client.close();
