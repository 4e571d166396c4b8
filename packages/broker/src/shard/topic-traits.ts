/** What is special about a topic; those about which nothing is need not be named. `overflow`: OVERFLOW_… */
export type TopicTraits = readonly [topicId: number, overflow: number, deadLetterOf: number];

/** What becomes of unfinished records beyond a topic's bounds: it does not retain until acknowledged … */
export const OVERFLOW_NONE = 0;
/** … or publishes are refused … */
export const OVERFLOW_REFUSE = 1;
/** … or the oldest are dead-lettered. */
export const OVERFLOW_DEAD_LETTER = 2;
