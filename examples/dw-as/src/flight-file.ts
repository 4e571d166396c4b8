import { fileURLToPath } from "node:url";
import { decompress } from "fzstd";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import type { Flight } from "./flight.ts";

/** Rows that the example replays, of the file's three million. */
export const FLIGHT_COUNT = 200_000;

/**
 * The first 200,000 flights of the U.S. Bureau of Transportation Statistics in npm's vega-datasets, in the order of
 * their date. From flights-3m.parquet: flights-200k.json of the same package names no airports.
 */
export async function readFlights(): Promise<Flight[]> {
  // The package exports only its index (build/index.js); the data lies beside that folder.
  const path = fileURLToPath(new URL("../data/flights-3m.parquet", import.meta.resolve("vega-datasets")));
  const rows = await parquetReadObjects({
    file: await asyncBufferFromFile(path),
    rowStart: 0,
    rowEnd: FLIGHT_COUNT,
    compressors: { ZSTD: (bytes, outputLength) => decompress(bytes, new Uint8Array(outputLength)) },
  });
  return rows.map((row) => ({
    date: (row.date as Date).toISOString(),
    delay: Number(row.delay),
    distance: Number(row.distance),
    origin: String(row.origin),
    destination: String(row.destination),
  }));
}
