#!/usr/bin/env python3
"""A TCP proxy in front of a Kafka broker that refuses the first Produce request of each topic itself (P13).

    kafka_proxy.py PORT TARGET_HOST:TARGET_PORT [ERROR_CODE]

The refused request never reaches the broker. Its answer (error 6, not the leader, unless told otherwise) is held back
until the connection's next Produce request was passed on, so that two of them are under way at once.
"""
import asyncio
import struct
import sys

PRODUCE = 0
HOLD_SECONDS = 3  # a second request that never comes must not hold up the first for ever


class Fields:
    """A cursor over a request in the classic (not flexible) encoding."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0]

    def text(self):
        size = self.take("h")
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at]

    def skip_bytes(self):
        self.at += max(self.take("i"), 0)


def parse_produce(frame):
    """(version, correlation id, [(topic, [partition, ...]), ...]); Produce 3 to 8."""
    fields = Fields(frame)
    fields.take("h")
    version, correlation = fields.take("h"), fields.take("i")
    fields.text()  # client id
    fields.text()  # transactional id
    fields.take("h")
    fields.take("i")
    topics = []
    for _ in range(fields.take("i")):
        topic, partitions = fields.text(), []
        for _ in range(fields.take("i")):
            partitions.append(fields.take("i"))
            fields.skip_bytes()
        topics.append((topic, partitions))
    return version, correlation, topics


def refusal(version, correlation, topics, error):
    body = struct.pack(">ii", correlation, len(topics))
    for topic, partitions in topics:
        body += struct.pack(">h", len(topic)) + topic + struct.pack(">i", len(partitions))
        for partition in partitions:
            body += struct.pack(">ihqq", partition, error, -1, -1)
            if version >= 5:
                body += struct.pack(">q", -1)  # log start offset
            if version >= 8:
                body += struct.pack(">ih", 0, -1)  # record errors, error message
    body += struct.pack(">i", 0)  # throttle time
    return struct.pack(">i", len(body)) + body


class Proxy:
    def __init__(self, host, port, error):
        self.target = (host, port)
        self.error = error
        self.seen = set()

    async def upstream(self, reader, broker, client):
        held = None
        timer = None

        def release():
            nonlocal held
            if held is not None:
                client.write(held)
                held = None

        while True:
            head = await reader.readexactly(4)
            frame = await reader.readexactly(struct.unpack(">i", head)[0])
            key, version = struct.unpack_from(">hh", frame)
            if key == PRODUCE and version <= 8:
                request = parse_produce(frame)
                fresh = {topic for topic, _ in request[2]} - self.seen
                self.seen |= fresh
                if fresh and held is None:
                    held = refusal(*request, self.error)
                    timer = asyncio.get_running_loop().call_later(HOLD_SECONDS, release)
                    continue
                if held is not None:
                    timer.cancel()
                    release()
            broker.write(head + frame)
            await broker.drain()

    @staticmethod
    async def downstream(reader, client):
        while data := await reader.read(65536):
            client.write(data)
            await client.drain()

    async def serve(self, reader, client):
        try:
            broker_reader, broker = await asyncio.open_connection(*self.target)
        except OSError:
            client.close()
            return
        tasks = [asyncio.ensure_future(self.upstream(reader, broker, client)),
                 asyncio.ensure_future(self.downstream(broker_reader, client))]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        broker.close()
        client.close()


async def main():
    host, port = sys.argv[2].rsplit(":", 1)
    error = int(sys.argv[3]) if len(sys.argv) > 3 else 6
    server = await asyncio.start_server(Proxy(host, int(port), error).serve, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
