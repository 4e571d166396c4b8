import { reportFailure, serveCommands } from "../processes/child-commands.ts";
import { type GeneratorCommands, generatorCommands } from "./generator-commands.ts";

// The terminal interrupts parent and children alike; the parent decides what becomes of what was measured.
process.on("SIGINT", () => undefined);

/** Entry of a generator in a process of its own. */
serveCommands<GeneratorCommands>(generatorCommands("process", reportFailure));
