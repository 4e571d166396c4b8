"""A Millrace client in Python: publishes to a topic and reads it. Written from docs/reference/wire-protocol.md alone.

    pip install websockets msgpack
    python millrace_client.py ws://127.0.0.1:7070 publish flights 1000
    python millrace_client.py ws://127.0.0.1:7070 read flights 1000
"""

import asyncio
import sys
import zlib

import msgpack
import websockets

HELLO, WELCOME, ERROR, PING, PONG, GOAWAY = 1, 2, 3, 4, 5, 6
PUBLISH, ACK, CREDIT, CREDIT_REQUEST, CREDIT_REVOKE, CREDIT_RETURNED = 16, 17, 18, 19, 20, 21
SUBSCRIBE, SUBSCRIBED, DELIVER, STREAM, PROGRESS, FLOW = 32, 33, 34, 35, 36, 37
TOPIC, DESCRIBE_TOPIC = 49, 50
WINDOW = 2 * 1024 * 1024  # bytes of DELIVER frames that may be on their way
BATCH_RECORDS = 100


class MillraceError(Exception):
    pass


class Client:
    """One session. Frames are handled one by one, in the order in which they come."""

    def __init__(self, socket):
        self.socket = socket
        self.credit = self.sent = 0  # bytes of PUBLISH frames: allowed in all, and sent

    async def send(self, *frame):
        await self.socket.send(msgpack.packb(frame))

    async def receive(self, *wanted):
        """The next frame of a wanted type; deals with those that may come at any time."""
        while True:
            data = await asyncio.wait_for(self.socket.recv(), 45)  # the server sends a PING every 15 s
            frame = msgpack.unpackb(data, strict_map_key=False)
            kind = frame[0]
            if kind == PING:
                await self.send(PONG, frame[1])
            elif kind == ERROR:
                raise MillraceError(f"{frame[3]}: {frame[5]} {frame[6]}")
            elif kind == GOAWAY:
                raise MillraceError(f"{frame[2]}: {frame[3]}")
            elif kind == CREDIT_REVOKE:
                self.credit = max(frame[1], self.sent)
                await self.send(CREDIT_RETURNED, self.credit)
            elif kind in (ACK, CREDIT):
                self.credit = max(self.credit, frame[1])
            if kind in wanted:
                return data, frame

    async def hello(self):
        await self.send(HELLO, 1, 1, "millrace_client.py", [], None, {})
        _, welcome = await self.receive(WELCOME)
        self.credit = welcome[7]

    async def topic(self, name):
        await self.send(DESCRIBE_TOPIC, 1, name)
        _, frame = await self.receive(TOPIC)
        return frame[2]

    async def publish(self, topic_id, partition, sequence, values):
        """Sends one batch, not idempotent; its ACK comes later."""
        records = b"".join(msgpack.packb(msgpack.packb([None, None, None, value])) for value in values)
        batch = msgpack.packb([1, 0, 0, len(values), len(records), 0, records])
        head = msgpack.packb([PUBLISH, topic_id, partition, 0, 0, sequence])
        # An array of eight: the six above, the batch as it is, and its checksum.
        frame = b"\x98" + head[1:] + batch + b"\xce" + zlib.crc32(batch).to_bytes(4, "big")
        if self.sent + len(frame) > self.credit:
            await self.send(CREDIT_REQUEST, len(frame))
        acked = 0
        while self.sent + len(frame) > self.credit:
            acked += acked_records(await self.receive(ACK, CREDIT))
        self.sent += len(frame)
        await self.socket.send(frame)
        return acked

    async def subscribe(self, topic, start=("earliest",)):
        """Yields (partition, offset, append time, key, headers, value) of every record."""
        await self.send(SUBSCRIBE, 2, 1, topic, None, list(start), WINDOW, "stream", {})
        _, frame = await self.receive(SUBSCRIBED)
        partition_of = {row[1]: row[0] for row in frame[4]}  # by stream id
        next_offset = {row[0]: row[2] for row in frame[4]}  # by partition
        received = granted = 0
        while True:
            data, frame = await self.receive(DELIVER, PROGRESS, STREAM)
            if frame[0] == STREAM:
                partition_of[frame[2]] = partition_of.pop(frame[1])
                continue
            partition = partition_of[frame[1]]
            if frame[0] == DELIVER:
                for base, count, append_ms, batch, *_ in frame[3]:
                    for offset, record in enumerate(unpack_records(batch), base):
                        if offset >= next_offset[partition] and record is not None:
                            yield partition, offset, append_ms, *record[1:4]
                received += len(data)
                if received - granted > WINDOW // 2:
                    granted = received
                    await self.send(FLOW, 1, received + WINDOW)
            next_offset[partition] = max(next_offset[partition], frame[2])


def acked_records(received):
    _, frame = received
    return sum(row[4] for row in frame[2]) if frame[0] == ACK else 0


def unpack_records(batch):
    """The records of a batch, None for a removed one."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(batch[6])
    return [msgpack.unpackb(record, strict_map_key=False) if record else None for record in unpacker]


async def main(url, command, topic, count):
    async with websockets.connect(url, max_size=2**22, ping_interval=None) as socket:
        client = Client(socket)
        await client.hello()
        if command == "publish":
            info = await client.topic(topic)
            acked, sequences = 0, [0] * info["partitions"]
            for first in range(0, count, BATCH_RECORDS):
                partition = first // BATCH_RECORDS % info["partitions"]
                values = [f"value {i}" for i in range(first, min(first + BATCH_RECORDS, count))]
                acked += await client.publish(info["topicId"], partition, sequences[partition], values)
                sequences[partition] += len(values)
            while acked < count:
                acked += acked_records(await client.receive(ACK))
            print(f"{acked} records acknowledged")
        else:
            left = count
            async for partition, offset, append_ms, key, headers, value in client.subscribe(topic):
                print(partition, offset, append_ms, key, headers, value)
                left -= 1
                if left == 0:
                    break


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
