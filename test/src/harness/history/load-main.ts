// Process entry: one process of a load, with the roles of the plan in its argument. Commands are lines of standard input: `settle`
// (publishers stop and wait for their answers), `tame`, `stop`; each is answered by a line of standard output that repeats it.
import { createInterface } from "node:readline";
import { connect } from "@millrace/client";
import { SeededRandom } from "../seeded-random.ts";
import { Follower } from "./follower.ts";
import { HistoryWriter } from "./history-file.ts";
import type { LoadPlan, RolePlan } from "./load-plan.ts";
import type { LoadRole, RoleContext } from "./load-role.ts";
import { Member } from "./member.ts";
import { Publisher } from "./publisher.ts";
import { Worker } from "./worker.ts";

const plan = JSON.parse(process.argv[2] as string) as LoadPlan;
const history = new HistoryWriter(plan.path);
const contexts: RoleContext[] = [];
const running: LoadRole[] = [];

for (const [i, role] of plan.roles.entries()) {
  const client = await connect(plan.url, {
    name: role.name,
    retryFirstConnect: true,
    reconnectBackoffMinMs: 10,
    reconnectBackoffMaxMs: 200,
    closeTimeoutMs: 1_000,
  });
  const context = { client, history, random: new SeededRandom(plan.seed + i) };
  contexts.push(context);
  running.push(...rolesOf(role, context));
}
console.log("ready");

for await (const command of createInterface({ input: process.stdin })) {
  if (command === "settle") await Promise.all(running.map((role) => role.settle()));
  else if (command === "tame") for (const role of running) role.tame();
  else if (command === "stop") break;
  else throw new Error(`no such command: ${command}`);
  history.flush();
  console.log(command);
}
await Promise.all(running.map((role) => role.stop()));
await Promise.all(contexts.map(({ client }) => client.close()));
history.close();
console.log("stop");
// Whoever is still in the way of it is no longer of interest.
process.exit(0);

function rolesOf(role: RolePlan, context: RoleContext): LoadRole[] {
  switch (role.role) {
    case "publisher":
      return [new Publisher(role, context)];
    case "follower":
      return [new Follower({ ...role, isFinal: false }, context)];
    case "member":
      return [new Member(role, context)];
    case "worker":
      return [new Worker(role, context)];
    case "final-reader":
      return role.topics.map((topic) => new Follower({ name: role.name, topic, isFinal: true }, context));
  }
}
