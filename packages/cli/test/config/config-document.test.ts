import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import type { CommandError } from "../../src/command-error.ts";
import { CONFIG_BYTES_MAX } from "../../src/config/config-text.ts";
import { configFile, loadFile, refusal, testFolder } from "./config-file.ts";

t.test("a file says what it says", async (t) => {
  const text = [
    "# a comment",
    "host: 0.0.0.0",
    "port: '8080'   # quotes make no difference",
    'data: "data folder"',
    "retention-total: 200GiB",
    "insecure: true",
    "allow-origin:",
    "  - https://a.example",
    "  - 'https://b.example'",
    "tls-cert: /etc/tls/cert.pem",
    "tls-key: ../key.pem",
    "nodes: 3",
  ];
  for (const newline of ["\n", "\r\n"]) {
    const file = configFile(t, text.join(newline));
    const folder = join(file, "..");
    const { settings, origins } = loadFile(file);
    t.match(settings, {
      host: "0.0.0.0",
      port: 8080,
      data: join(folder, "data folder"),
      retentionTotal: 200 * 1024 ** 3,
      insecure: true,
      allowOrigin: ["https://a.example", "https://b.example"],
      tlsCert: "/etc/tls/cert.pem",
      tlsKey: join(folder, "../key.pem"),
      nodes: 3,
      autoCreate: false,
    });
    t.same(origins.port, { source: "file", at: `${file}:3:1` });
    t.same(origins.autoCreate, { source: "default", at: "default" });
  }
});

t.test("a file without settings, and one in JSON, are taken", async (t) => {
  for (const text of ["", "\n\n", "# nothing yet\n", "---\n", "\uFEFF# with a mark\n", "{}"]) {
    t.equal(loadFile(configFile(t, text)).settings.port, 7070, JSON.stringify(text));
  }
  const json = loadFile(configFile(t, '\uFEFF{"port": 1234, "allow-origin": ["*"]}'));
  t.match(json.settings, { port: 1234, allowOrigin: ["*"] });
  t.same(loadFile(configFile(t, "allow-origin: https://a.example")).settings.allowOrigin, [
    "https://a.example",
  ]);
  t.same(loadFile(configFile(t, "allow-origin: []")).settings.allowOrigin, []);
});

t.test("what is wrong is said with its place, all of it", async (t) => {
  const text = [
    "prot: 8080",
    "port: lots",
    "retentionTotal: 1GiB",
    "retention-total: 3 apples",
    "insecure: yes",
    "log-format:",
    "allow-origin: {a: b}",
    "host: [127.0.0.1]",
    "tls:",
    "  cert: a.pem",
    "flux-capacitor: 88",
    "shards: 8",
    "shards: 9",
    "data: ''",
  ];
  t.same(refusal(configFile(t, text.join("\n"))), {
    code: "CONFIG_INVALID",
    lines: [
      'F:1:1: there is no key "prot"; is port meant?',
      'F:2:7: port: found "lots", expected an integer from 0 to 65535',
      'F:3:1: there is no key "retentionTotal"; is retention-total meant?',
      'F:4:18: retention-total: found "3 apples", expected a size such as 200GiB, or "none"',
      'F:5:11: insecure: found "yes", expected "true" or "false"',
      "F:6:12: log-format: found nothing, expected pretty or json",
      "F:7:15: allow-origin: found keys within a key, expected a list of texts, or one",
      "F:8:7: host: found a list, expected a text of 1 to 4096 bytes without control characters",
      'F:9:1: there is no key "tls"; keys are not nested; is tls-cert meant?',
      'F:11:1: there is no key "flux-capacitor"',
      'F:13:1: "shards" stands here again, first at F:12:1',
      'F:14:7: data: found "", expected a text of 1 to 4096 bytes without control characters',
    ],
  });
});

t.test("numbers are read as a flag's, not as YAML's", async (t) => {
  for (const text of [
    "port: 1e3",
    "port: 0x1F",
    "port: 0o17",
    "port: 70.0",
    "port: -1",
    "port: +1",
    "port: 70_00",
  ]) {
    t.match(refusal(configFile(t, text)).lines[0], /expected an integer from 0 to 65535$/, text);
  }
  t.equal(loadFile(configFile(t, "port: 007")).settings.port, 7);
  t.equal(loadFile(configFile(t, "host: 2026-11-22")).settings.host, "2026-11-22");
});

t.test("what is no such file is refused without being quoted", async (t) => {
  const secret = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
  const texts = {
    "a private key": `-----BEGIN PRIVATE KEY-----\n${secret}\n${secret}\n-----END PRIVATE KEY-----\n`,
    "an environment file": `PASSPHRASE=${secret}\n`,
    "an unknown key's value": `tls-passphrase: ${secret}\n`,
    "nested keys": `tls:\n  passphrase: ${secret}\n`,
    "a word": secret,
    "a list": `- ${secret}`,
    "an open quotation": `host: "${secret}`,
    "an open list": `allow-origin: [${secret}`,
    "two documents": `---\nport: 1\n---\n${secret}: 1\n`,
    "an alias": `host: &a ${secret}\ndata: *a\n`,
    "an alias of nothing": `data: *${secret}\n`,
    "a tag": `host: !secret ${secret}\n`,
    "a merge key": `<<: {passphrase: ${secret}}\n`,
    "a key that is a list": `? [${secret}]\n: 1\n`,
    tabs: `allow-origin:\n\t- ${secret}\n`,
    "a directive": `%SECRET ${secret}\n---\nport: 1\n`,
  };
  for (const [what, text] of Object.entries(texts)) {
    const { code, lines } = refusal(configFile(t, text));
    t.equal(code, "CONFIG_INVALID", what);
    for (const line of lines) {
      t.match(line, /^F:\d+:\d+: /, what);
      t.notMatch(line, secret.slice(0, 8), what);
    }
  }
});

t.test("bombs do not go off", async (t) => {
  const anchors = Array.from({ length: 30 }, (_, i) => {
    const inner = i === 0 ? "x" : `*a${i - 1}`;
    return `k${i}: &a${i} [${Array(9).fill(inner).join(", ")}]`;
  });
  for (const [what, text] of Object.entries({
    aliases: [...anchors, "allow-origin: *a29"].join("\n"),
    "an alias as an origin": "allow-origin: &a [x]\nhost: *a",
    "lists in lists": `allow-origin: ${"[".repeat(20_000)}`,
    "closed lists in lists": `allow-origin: ${"[".repeat(10_000)}${"]".repeat(10_000)}`,
    "keys in keys": "{a: ".repeat(5_000),
    keys: Array.from({ length: 3_000 }, (_, i) => `k${i}:`).join("\n"),
    "one long key": "k".repeat(20_000),
    "one long value": `host: ${"h".repeat(20_000)}`,
    questions: "? ".repeat(10_000),
  })) {
    const { code, lines } = refusal(configFile(t, text));
    t.equal(code, "CONFIG_INVALID", what);
    t.ok(lines.length <= 21, what);
    for (const line of lines) t.ok(line.length < 300, what);
  }
});

t.test("what cannot be read says why", async (t) => {
  const folder = testFolder(t);
  const at = (name: string): string => join(folder, name);
  writeFileSync(at("binary"), Buffer.from([0x70, 0x6f, 0xff, 0xfe, 0x00]));
  writeFileSync(at("zeros"), Buffer.alloc(100));
  writeFileSync(at("huge"), "");
  truncateSync(at("huge"), 8 * 1024 ** 3);
  writeFileSync(at("large"), `#${"x".repeat(CONFIG_BYTES_MAX)}`);
  writeFileSync(at("just-fits"), `#${"x".repeat(CONFIG_BYTES_MAX - 1)}`);
  mkdirSync(at("folder"));
  symlinkSync(at("loop-b"), at("loop-a"));
  symlinkSync(at("loop-a"), at("loop-b"));
  symlinkSync(at("just-fits"), at("link"));
  execFileSync("mkfifo", [at("pipe")]);
  for (const [name, why] of Object.entries({
    missing: /there is no such file/,
    "huge/below": /there is no such file/,
    folder: /it is a folder/,
    "loop-a": /its symbolic links lead in a circle/,
    pipe: /it is no regular file/,
    "../../../../../../dev/null": /it is no regular file/,
    huge: /more than 65536 bytes/,
    large: /more than 65536 bytes/,
    binary: /no text in UTF-8/,
    [`${"n".repeat(5_000)}`]: /the name is too long/,
  })) {
    const { code, lines } = refusal(at(name));
    t.equal(code, "CONFIG_UNREADABLE", name.slice(0, 20));
    t.match(lines[0], why, name.slice(0, 20));
  }
  t.equal(refusal(at("zeros")).code, "CONFIG_INVALID");
  t.equal(loadFile(at("just-fits")).settings.port, 7070);
  t.equal(loadFile(at("link")).settings.port, 7070);
});

t.test("a file of somebody else", { skip: process.getuid?.() === 0 && "root may read all" }, async (t) => {
  const file = configFile(t, "port: 1");
  chmodSync(file, 0);
  t.match(refusal(file), { code: "CONFIG_UNREADABLE", lines: [/this user may not read it/] });
});

t.test("any bytes are taken or refused, and nothing else happens", async () => {
  const pieces = fc.constantFrom(
    ...[
      "port",
      "host",
      "allow-origin",
      ": ",
      ":",
      "\n",
      "  ",
      "- ",
      "[",
      "]",
      "{",
      "}",
      ",",
      "'",
      '"',
      "&a ",
      "*a",
    ],
    ...[
      "!t ",
      "|",
      ">",
      "?",
      "#",
      "%",
      "---",
      "...",
      "<<",
      "\t",
      "~",
      "8080",
      "\u0000",
      "\u2028",
      "\uFEFF",
      "é",
    ],
  );
  const texts = fc.oneof(
    fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join("")),
    fc.string(),
  );
  const file = configFile(t, "");
  fc.assert(
    fc.property(fc.oneof(texts, fc.uint8Array({ maxLength: 60 })), (content) => {
      writeFileSync(file, content);
      try {
        loadFile(file);
      } catch (error) {
        const { code, lines = [] } = error as CommandError;
        if (code !== "CONFIG_INVALID" && code !== "CONFIG_UNREADABLE") throw error;
        // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal must not get any
        if (lines.length === 0 || lines.some((line) => /[\x00-\x1f]/.test(line))) throw error;
      }
    }),
    { numRuns: 300 },
  );
});
