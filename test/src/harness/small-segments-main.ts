// Process entry: the `millrace` command, whose `serve` has journal segments of MILLRACE_TEST_SEGMENT_BYTES. On a disk of
// usual size they are so large that a test would have to write gigabytes before anything is settled or expires.
import { BrokerNode } from "@millrace/broker/internal";
import { runCommandWithNode } from "./command-with-node.ts";

const segmentBytes = Number(process.env.MILLRACE_TEST_SEGMENT_BYTES);

await runCommandWithNode((options) => BrokerNode.open({ ...options, storage: { segmentBytes } }));
