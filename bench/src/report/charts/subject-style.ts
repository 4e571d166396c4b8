import type { BenchDocument, ResultRow } from "@millrace/load";
import { html, type Markup } from "../html/markup.ts";

/** How a subject, measured with one client, is drawn and named in every chart of a report. */
export interface SubjectStyle {
  /** Sets `--c`, the colour. */
  readonly colourClass: string;
  /** stroke-dasharray; empty: solid. */
  readonly dashes: string;
  readonly label: string;
}

/**
 * Brokers of one maker share a hue and differ in their dashes; so nobody has to tell eleven colours apart. The colours
 * were chosen by search: as far apart as can be for normal, protan, deutan and tritan eyes, and at least 4.5:1 from the
 * background, since names are written in them.
 */
const FAMILIES: readonly (readonly [family: string, light: string, dark: string, pattern: RegExp])[] = [
  ["millrace", "#0677c9", "#8dc0ff", /^millrace/],
  ["nats", "#26844a", "#43db99", /^(?:nats|jetstream)/],
  ["redis", "#6e1d00", "#f47558", /^redis/],
  ["rabbitmq", "#946e16", "#efce4b", /^rabbitmq/],
  ["kafka", "#6e2664", "#dc62bc", /^kafka/],
  ["mosquitto", "#261a89", "#a879fb", /^mosquitto/],
  ["relay", "#737478", "#8d8c88", /^relay/],
  ["other", "#202020", "#e6efee", /(?:)/],
];

const DASHES = ["", "8 4", "2 3", "12 4 2 4", "5 2", "1 5", "16 4", "12 3 2 3 2 3"];

/** The order in which members of a family take their dashes, whichever of them a run has measured. */
const KNOWN_SUBJECTS = [
  "millrace",
  "nats-core",
  "jetstream",
  "redis-pubsub",
  "redis-streams",
  "rabbitmq-classic",
  "rabbitmq-quorum",
  "rabbitmq-stream",
  "kafka",
  "mosquitto",
  "relay",
];

/** Gives every pair of subject and client of a document its looks, the same in all charts. */
export class SubjectStyles {
  readonly #styles = new Map<string, SubjectStyle>();

  constructor(document: BenchDocument) {
    const clients = new Map<string, Map<string, ResultRow>>();
    for (const row of document.rows) {
      const ofSubject = clients.get(row.subject) ?? new Map<string, ResultRow>();
      clients.set(row.subject, ofSubject.set(clientKey(row), row));
    }
    const subjects = [...clients.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    const further = new Map<string, number>();
    for (const subject of subjects) {
      const rows = [...(clients.get(subject) ?? new Map<string, ResultRow>()).values()];
      rows.sort((a, b) => kindRank(a) - kindRank(b) || (a.client < b.client ? -1 : 1));
      for (const [index, row] of rows.entries()) {
        const family = familyOf(subject);
        const members = KNOWN_SUBJECTS.filter((known) => familyOf(known) === family);
        // The first client of a known subject has the same dashes in every report; others take what is left.
        let dash = index === 0 ? members.indexOf(subject) : -1;
        if (dash < 0) {
          dash = further.get(family) ?? members.length;
          further.set(family, dash + 1);
        }
        this.#styles.set(styleKey(row), {
          colourClass: `subject-${family}`,
          dashes: DASHES[dash % DASHES.length] ?? "",
          label: labelOf(row, rows),
        });
      }
    }
  }

  of(row: ResultRow): SubjectStyle {
    return (
      this.#styles.get(styleKey(row)) ?? { colourClass: "subject-other", dashes: "", label: row.subject }
    );
  }
}

/** A short piece of the line as the charts draw it. */
export function swatch(style: SubjectStyle): Markup {
  return html`<svg class="swatch ${style.colourClass}" width="26" height="10" aria-hidden="true"><line x1="0" y1="5" x2="26" y2="5" stroke-dasharray="${style.dashes}"/></svg>`;
}

/** Style rules that set `--c` for each family, in light and dark. */
export function subjectColours(): string {
  const rules = (index: 1 | 2): string =>
    FAMILIES.map((family) => `.subject-${family[0]} { --c: ${family[index]}; }`).join("\n");
  return `${rules(1)}\n@media (prefers-color-scheme: dark) {\n${rules(2)}\n}\n`;
}

function familyOf(subject: string): string {
  return FAMILIES.find(([, , , pattern]) => pattern.test(subject))?.[0] ?? "other";
}

function rank(subject: string): number {
  const index = KNOWN_SUBJECTS.indexOf(subject);
  return index < 0 ? KNOWN_SUBJECTS.length : index;
}

const KINDS = ["client", "native", "raw"];

function kindRank({ kind }: ResultRow): number {
  return KINDS.indexOf(kind);
}

/** The subject alone, or with as much of its client as tells it from the subject's others. */
function labelOf({ subject, kind, client }: ResultRow, rows: readonly ResultRow[]): string {
  if (rows.length === 1) return subject;
  const ofKind = rows.filter((row) => row.kind === kind).length;
  return `${subject}, ${ofKind === 1 ? kind : client}`;
}

function clientKey({ kind, client }: ResultRow): string {
  return `${kind} ${client}`;
}

function styleKey(row: ResultRow): string {
  return `${row.subject} ${clientKey(row)}`;
}
