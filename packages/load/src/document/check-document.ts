import type { BenchDocument } from "./bench-document.ts";

/** Says what is wrong with a value, or nothing. `path` is where it stands. */
type Check = (value: unknown, path: string) => void;

const number: Check = (value, path) => {
  if (typeof value !== "number" || !Number.isFinite(value)) refuse(path, "a number", value);
};
const string: Check = (value, path) => {
  if (typeof value !== "string") refuse(path, "a string", value);
};
const boolean: Check = (value, path) => {
  if (typeof value !== "boolean") refuse(path, "true or false", value);
};
const scalar: Check = (value, path) => {
  if (typeof value !== "string" && typeof value !== "boolean") number(value, path);
};
const strings: Check = list(string);

const machine: Check = record({
  cpu: string,
  cores: number,
  memoryBytes: number,
  kernel: string,
  node: string,
});

const latency: Check = record({
  unit: oneOf("ms"),
  count: number,
  p50: number,
  p90: number,
  p99: number,
  p999: number,
  max: number,
  histogram: string,
});

const repetition: Check = record(
  {
    seconds: number,
    recordsPerSecond: number,
    bytesPerSecond: number,
    series: list(number),
    brokerCpuSecondsPerMillion: number,
    clientCpuSecondsPerMillion: number,
    brokerCores: number,
    clientCores: number,
    busyThreads: number,
    brokerRssBytes: number,
    brokerPeakRssBytes: number,
    generatorSaturated: boolean,
    disturbance: record({ elsewhereCores: number, stolenCores: number }),
  },
  {
    deliveriesPerSecond: number,
    endToEnd: latency,
    ackLatency: latency,
    roundTrip: latency,
    generatorLateMs: number,
    figures: dictionary(number),
    errors: strings,
  },
);

const row: Check = record(
  {
    scenario: string,
    subject: string,
    version: string,
    client: string,
    kind: oneOf("client", "native", "raw"),
    durability: oneOf("memory", "written", "fsynced"),
    parameters: dictionary(scalar),
    settings: strings,
    notes: strings,
    repetitions: list(repetition),
  },
  { skipped: string },
);

const verdict: Check = record(
  {
    name: string,
    description: string,
    ratio: nullOr(number),
    target: number,
    sense: oneOf("at-least", "at-most"),
    met: nullOr(boolean),
    basis: strings,
  },
  { columns: string },
);

const benchDocument: Check = record({
  format: oneOf("millrace-bench"),
  version: (value, path) => {
    if (value !== 1) refuse(path, "version 1", value);
  },
  startedAt: string,
  command: string,
  machine,
  rows: list(row),
  verdicts: list(verdict),
});

/**
 * Returns the value as what it is. Fields that are not known are let pass: a later version may have added them.
 * @throws TypeError naming the first field that is missing or of another type
 */
export function checkDocument(value: unknown): BenchDocument {
  benchDocument(value, "");
  return value as BenchDocument;
}

function record(
  fields: Readonly<Record<string, Check>>,
  optional: Readonly<Record<string, Check>> = {},
): Check {
  return (value, path) => {
    const object = asObject(value, path);
    for (const [name, check] of Object.entries(fields)) check(object[name], `${path}.${name}`);
    for (const [name, check] of Object.entries(optional)) {
      if (object[name] !== undefined) check(object[name], `${path}.${name}`);
    }
  };
}

function dictionary(check: Check): Check {
  return (value, path) => {
    for (const [name, entry] of Object.entries(asObject(value, path))) check(entry, `${path}.${name}`);
  };
}

function list(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) refuse(path, "a list", value);
    for (const [index, entry] of (value as unknown[]).entries()) check(entry, `${path}[${index}]`);
  };
}

function nullOr(check: Check): Check {
  return (value, path) => {
    if (value !== null) check(value, path);
  };
}

function oneOf(...allowed: readonly string[]): Check {
  return (value, path) => {
    if (!allowed.includes(value as string)) refuse(path, allowed.join(" or "), value);
  };
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(path, "an object", value);
  return value as Record<string, unknown>;
}

function refuse(path: string, wanted: string, value: unknown): never {
  const text = JSON.stringify(value)?.slice(0, 60) ?? "nothing";
  throw new TypeError(
    `not a result document: ${path === "" ? "it" : path.slice(1)} must be ${wanted}: got ${text}`,
  );
}
