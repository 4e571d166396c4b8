// Process entry: the `millrace` command, whose `serve` has journal segments of MILLRACE_TEST_SEGMENT_BYTES. On a disk of
// usual size they are so large that a test would have to write gigabytes before anything is settled or expires.
import { BrokerNode } from "@millrace/broker/internal";
import { type CommandContext, runCommandLine } from "@millrace/cli";
import { connect } from "@millrace/client";
import { createBrokerOf, listenWithUws, SYSTEM_CLOCK } from "@millrace/gateway/internal";

const segmentBytes = Number(process.env.MILLRACE_TEST_SEGMENT_BYTES);

const context: CommandContext = {
  stdin: process.stdin,
  stdinBytes: () => undefined,
  stdout: process.stdout,
  stderr: process.stderr,
  clock: SYSTEM_CLOCK,
  signals: process,
  connect,
  loadBroker: async () => (options) =>
    createBrokerOf(
      {
        openNode: ({ dataDir, shards }, logger) =>
          BrokerNode.open({
            dataDir,
            logger,
            storage: { segmentBytes },
            ...(shards === undefined ? {} : { shards }),
          }),
        listen: listenWithUws,
        clock: SYSTEM_CLOCK,
      },
      options,
    ),
};

process.exitCode = await runCommandLine(process.argv.slice(2), context);
