import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { registerTopicCreate } from "./topic-create.ts";
import { registerTopicDelete } from "./topic-delete.ts";
import { registerTopicDescribe } from "./topic-describe.ts";
import { registerTopicList } from "./topic-list.ts";

/** `millrace topic …` */
export function registerTopic(program: Command, run: RunCommand): void {
  const topic = program.command("topic").description("create, list, describe and delete topics");
  registerTopicCreate(topic, run);
  registerTopicList(topic, run);
  registerTopicDescribe(topic, run);
  registerTopicDelete(topic, run);
}
