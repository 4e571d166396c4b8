/** Where a command writes: results and complaints apart, so that a test or a pipe has the one without the other. */
export interface CommandOutput {
  readonly say: (text: string) => void;
  readonly complain: (text: string) => void;
}

/** Standard output and standard error. Whoever reads the output may stop (`| head`): that is no error. */
export function standardOutput(): CommandOutput {
  process.stdout.on("error", () => {});
  return {
    say: (text) => process.stdout.write(text),
    complain: (text) => process.stderr.write(text),
  };
}
