/** Payload bytes of the sink's answer to each frame. A generator counts answers by their length. */
export const SINK_ANSWER_BYTES = 4;
