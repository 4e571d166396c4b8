import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { runCommand } from "../command-run.ts";
import { configFile } from "../config/config-file.ts";

t.test("config check prints what applies and where from", async (t) => {
  const file = configFile(t, "port: 8080\ndata: folder\nallow-origin: [a, b]\n");
  const env = { MILLRACE_SHARDS: "4", MILLRACE_PROT: "1" };
  const { exitCode, stdout, stderr } = await runCommand(
    ["config", "check", "--config", file, "--log-format", "json", "--no-insecure"],
    { env },
  );
  t.equal(exitCode, 0);
  t.equal(stderr, 'warning: "MILLRACE_PROT" is no variable of ours: is MILLRACE_PORT meant?\n');
  const [first, header, ...rows] = stdout.trimEnd().split("\n");
  t.equal(first, `configuration file ${file}`);
  t.match(header, /^KEY +VALUE +SOURCE$/);
  const table = new Map(
    rows.map((line) => {
      const [key = "", ...rest] = line.split(/ {2,}/);
      return [key, rest];
    }),
  );
  t.same(table.get("host"), ["127.0.0.1", "default"]);
  t.same(table.get("port"), ["8080", `${file}:1:1`]);
  t.same(table.get("data"), [join(file, "../folder"), `${file}:2:1`]);
  t.same(table.get("shards"), ["4", "MILLRACE_SHARDS"]);
  t.same(table.get("threads"), ["(one a core but one)", "default"]);
  t.same(table.get("allow-origin"), ["a b", `${file}:3:1`]);
  t.same(table.get("insecure"), ["false", "--no-insecure"]);
  t.same(table.get("log-format"), ["json", "--log-format"]);
});

t.test("with --json an object for each setting", async (t) => {
  const { stdout } = await runCommand(["config", "check", "--json", "--retention-total", "1GiB"]);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  t.same(lines[1], { key: "port", value: 7070, source: "default", at: "default", applies: "restart" });
  t.match(lines, [{ key: "host" }, { key: "port" }, { key: "data" }, { key: "nodes", value: null }]);
  t.same(
    lines.find(({ key }) => key === "retention-total"),
    { key: "retention-total", value: 1024 ** 3, source: "flag", at: "--retention-total", applies: "reload" },
  );
});

t.test(
  "what is wrong goes to standard error, a line each, and exits with 1; wrong options with 2",
  async (t) => {
    const file = configFile(t, "port: 99999\nhots: a\n");
    t.same(await runCommand(["config", "check", "--config", file]), {
      exitCode: 1,
      stdout: "",
      stderr:
        `error CONFIG_INVALID: ${file}:1:7: port: found "99999", expected an integer from 0 to 65535\n` +
        `error CONFIG_INVALID: ${file}:2:1: there is no key "hots"; is host meant?\n`,
    });
    t.match(await runCommand(["config", "check"], { env: { MILLRACE_CONFIG: `${file}.not` } }), {
      exitCode: 1,
      stderr: /^error CONFIG_UNREADABLE: cannot read .*: there is no such file\n$/,
    });
    t.match(await runCommand(["config", "check", "--port", "99999"]), { exitCode: 2, stdout: "" });
    t.match(await runCommand(["config", "check", "--prot", "1"]), { exitCode: 2, stdout: "" });
    t.match(await runCommand(["config"]), { exitCode: 2 });
  },
);

t.test("what a start would refuse is refused", async (t) => {
  const open = configFile(t, "host: 0.0.0.0");
  t.match(await runCommand(["config", "check", "--config", open]), {
    exitCode: 1,
    stdout: /^configuration file/,
    stderr: /^error INSECURE_HOST: /,
  });
  t.match(await runCommand(["config", "check", "--config", open, "--insecure"]), { exitCode: 0 });
  const tls = configFile(t, "tls-cert: cert.pem\ntls-key: key.pem");
  t.match(await runCommand(["config", "check", "--config", tls]), {
    exitCode: 1,
    stderr: /^error TLS_FILE_UNREADABLE: .*cert\.pem: ENOENT\n$/,
  });
  const phrase = ["--tls-passphrase-file", join(tls, "../phrase")];
  writeFileSync(join(tls, "../cert.pem"), "no certificate");
  writeFileSync(join(tls, "../key.pem"), "no key");
  t.match(await runCommand(["config", "check", "--config", tls]), { stderr: /^error TLS_FILE_INVALID: / });
  t.match(await runCommand(["config", "check", "--config", tls, ...phrase]), {
    stderr: /^error TLS_FILE_UNREADABLE: cannot read the passphrase file .*phrase: ENOENT\n$/,
  });
});
