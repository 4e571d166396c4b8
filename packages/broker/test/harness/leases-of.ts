import { BatchReader } from "@millrace/protocol";
import { LeasedReader } from "@millrace/protocol/internal";
import type { Lease } from "./recording-gateway.ts";

/** The rows of a LEASED frame. */
export function leasesOf(frame: Uint8Array): Lease[] {
  const reader = new LeasedReader();
  const batch = new BatchReader();
  const leases: Lease[] = [];
  reader.reset(frame, 0, frame.length);
  while (reader.next()) {
    const { consumerId, topicId, partition, deliveryCount, leaseEpoch, leaseCounter, hasChecksum } = reader;
    batch.reset(frame, reader.batchStart, reader.rowEnd);
    if (hasChecksum && !batch.verifyChecksum()) throw new Error("a leased batch does not fit its checksum");
    if (batch.count !== reader.count) throw new Error("a leased batch does not fit its row");
    const records = Array.from({ length: batch.count }, (_, i) => ({ ...batch.recordAt(i) }));
    const values = records.map(({ value }) => String(value));
    const [offset, deliveries] = [reader.baseOffset, deliveryCount];
    const row = { consumerId, topicId, partition, offset, deliveries, leaseEpoch, leaseCounter, hasChecksum };
    leases.push({ ...row, values, records });
  }
  return leases;
}
