/** One flight as it stands in the file and in the topic. */
export interface Flight {
  /** Scheduled departure, ISO 8601. */
  readonly date: string;
  /** Minutes; negative when early. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
  /** IATA codes. */
  readonly origin: string;
  readonly destination: string;
}
