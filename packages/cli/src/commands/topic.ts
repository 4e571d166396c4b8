import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { registerTopicAlter } from "./topic-alter.ts";
import { registerTopicCreate } from "./topic-create.ts";
import { registerTopicDelete } from "./topic-delete.ts";
import { registerTopicDescribe } from "./topic-describe.ts";
import { registerTopicList } from "./topic-list.ts";
import { registerTopicTruncate } from "./topic-truncate.ts";

/** `millrace topic …` */
export function registerTopic(program: Command, run: RunCommand): void {
  const topic = program
    .command("topic")
    .description("create, list, describe, alter, truncate and delete topics");
  registerTopicCreate(topic, run);
  registerTopicList(topic, run);
  registerTopicDescribe(topic, run);
  registerTopicAlter(topic, run);
  registerTopicTruncate(topic, run);
  registerTopicDelete(topic, run);
}
