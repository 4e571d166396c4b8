import type { Topic } from "../topic.ts";

/** The node's copy of the catalog, for lookups on the gateway thread. Changed only by commits of shard 0. */
export class CatalogView {
  readonly #byName: Map<string, Topic> = new Map();
  readonly #byId: Map<number, Topic> = new Map();

  byName(name: string): Topic | undefined {
    return this.#byName.get(name);
  }

  byId(topicId: number): Topic | undefined {
    return this.#byId.get(topicId);
  }

  topics(): Iterable<Topic> {
    return this.#byName.values();
  }

  /** Takes over all topics, a part of them at a time; `page` gives none behind the last. */
  async load(page: (from: number) => Promise<readonly Topic[]>): Promise<void> {
    for (let from = 0; ; ) {
      const topics = await page(from);
      if (topics.length === 0) return;
      for (const topic of topics) this.add(topic);
      from += topics.length;
    }
  }

  add(topic: Topic): void {
    this.#byName.set(topic.name, topic);
    this.#byId.set(topic.topicId, topic);
  }

  remove(topic: Topic): void {
    // The name may already belong to a younger topic.
    if (this.#byName.get(topic.name)?.topicId === topic.topicId) this.#byName.delete(topic.name);
    this.#byId.delete(topic.topicId);
  }
}
