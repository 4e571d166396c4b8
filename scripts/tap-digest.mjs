// Shortens a TAP stream: one line per test file, the whole of it (without the passed assertions) where it failed,
// and the closing line "N passed, N failed". tap writes a file's results either as a subtest before its line, or,
// when files run side by side, as a block in braces after it.
const SUMMARY =
  /^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, todo: (\d+))?(?:, skip: (\d+))? \}/;
const FILE_LINE = /^(not )?ok \d+ - (.*)$/;

export class TapDigest {
  #print;
  #details = [];
  #openLine;
  #summary;

  /** `print` is given each line to show. */
  constructor(print) {
    this.#print = print;
  }

  /** The counts once the stream has ended; undefined when it broke off. */
  get summary() {
    return this.#summary;
  }

  line(text) {
    const summary = SUMMARY.exec(text);
    if (summary !== null) {
      const [total, pass = 0, fail = 0, todo = 0, skip = 0] = summary
        .slice(1)
        .map((digits) => Number(digits ?? 0));
      this.#summary = { total, pass, fail, skip: skip + todo };
      return;
    }
    const result = FILE_LINE.exec(text);
    if (this.#openLine !== undefined) {
      if (text === "}") this.#file(this.#openLine);
      else this.#details.push(text);
    } else if (result === null) this.#details.push(text);
    else if (text.endsWith("{")) this.#openLine = text.slice(0, -1).trimEnd();
    else this.#file(text);
  }

  /** What is left: diagnostics of the last file, or of a run that broke off. */
  end(failed) {
    if (failed) this.#flushDetails();
    const { pass, fail, skip } = this.#summary ?? { pass: 0, fail: 1, skip: 0 };
    this.#print(`${pass} passed, ${fail} failed${skip > 0 ? `, ${skip} skipped` : ""}`);
  }

  #file(line) {
    if (line.startsWith("not ok")) this.#flushDetails();
    this.#details = [];
    this.#openLine = undefined;
    this.#print(line);
  }

  #flushDetails() {
    for (const detail of this.#details)
      if (!/^\s*(ok \d+|1\.\.\d+|TAP version)/.test(detail)) this.#print(detail);
    this.#details = [];
  }
}
