"""A TCP proxy in front of a Kafka broker, in a thread of the campaign, that can be told to spoil connections:

    stall       nothing passes for a while, nothing is lost
    reset       every connection is cut with a TCP reset
    cut up      what the clients send is swallowed for a while, then the connections are reset
    cut down    the same with what the broker answers
    refuse      the first Produce request of each topic from now on is refused (tests/support/kafka_proxy.py)
    hold end    EndTxn requests are handed on late, also when the client has given up and asked again (H5)
"""
import asyncio
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from kafka_proxy import HOLD_SECONDS, PRODUCE, parse_produce, refusal  # noqa: E402

END_TXN = 26
NOT_LEADER = 6


def reset(writer):
    """Closes with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


class Connection:
    def __init__(self, proxy, client_reader, client):
        self.proxy = proxy
        self.client_reader, self.client = client_reader, client
        self.broker_reader = self.broker = None
        self.held = None
        self.spoilt = False

    async def run(self):
        try:
            self.broker_reader, self.broker = await asyncio.open_connection(*self.proxy.target)
        except OSError:
            reset(self.client)
            return
        self.proxy.connections.add(self)
        tasks = [asyncio.ensure_future(self.up()), asyncio.ensure_future(self.down())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.proxy.connections.discard(self)
        self.client.close()
        await self.proxy.close_later(self.broker)

    def release(self):
        if self.held is not None:
            self.client.write(self.held)
            self.held = None

    async def refuse(self, frame):
        """Whether the request was answered here: the first Produce of a topic, while a second one is under way (P13)."""
        key, version = struct.unpack_from(">hh", frame)
        if key != PRODUCE or version > 8:
            return False
        request = parse_produce(frame)
        fresh = {topic for topic, _ in request[2]} & self.proxy.to_refuse
        self.proxy.to_refuse -= fresh
        if fresh and self.held is None:
            self.held = refusal(*request, NOT_LEADER)
            asyncio.get_running_loop().call_later(HOLD_SECONDS, self.release)
            return True
        self.release()
        return False

    async def up(self):
        while True:
            head = await self.client_reader.readexactly(4)
            frame = await self.client_reader.readexactly(struct.unpack(">i", head)[0])
            await self.proxy.flowing.wait()
            if self.proxy.cut == "up":
                self.spoilt = True
            if self.spoilt or await self.refuse(frame):
                continue
            if struct.unpack_from(">h", frame)[0] == END_TXN and self.proxy.hold_seconds > 0:
                self.proxy.held_ends += 1
                asyncio.get_running_loop().call_later(self.proxy.hold_seconds, self.broker.write, head + frame)
                continue
            self.broker.write(head + frame)
            await self.broker.drain()

    async def down(self):
        while data := await self.broker_reader.read(65536):
            await self.proxy.flowing.wait()
            if self.proxy.cut == "down":
                self.spoilt = True
            if not self.spoilt:
                self.client.write(data)
                await self.client.drain()


class FaultProxy:
    def __init__(self, port, target):
        host, target_port = target.rsplit(":", 1)
        self.target = (host, int(target_port))
        self.connections = set()
        self.to_refuse = set()
        self.cut = None
        self.hold_seconds = 0
        self.held_ends = 0
        self.loop = asyncio.new_event_loop()
        self.flowing = None
        ready = threading.Event()
        threading.Thread(target=self.serve, args=(port, ready), daemon=True).start()
        ready.wait()

    def serve(self, port, ready):
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(lambda *_: None)  # connections end in every way, that is what they are for

        async def begin():
            self.flowing = asyncio.Event()
            self.flowing.set()
            await asyncio.start_server(lambda r, w: Connection(self, r, w).run(), "127.0.0.1", port)

        self.loop.run_until_complete(begin())
        ready.set()
        self.loop.run_forever()

    async def close_later(self, broker):
        """An EndTxn that is still held must find its way although the client is gone."""
        if self.hold_seconds > 0:
            await asyncio.sleep(self.hold_seconds + 1)
        broker.close()

    def call(self, function, *arguments):
        self.loop.call_soon_threadsafe(function, *arguments)

    # ---- orders, from any thread ----

    def stall(self, on):
        self.call(self.flowing.clear if on else self.flowing.set)

    def reset_all(self, spoilt_only=False):
        def do():
            for connection in list(self.connections):
                if connection.spoilt or not spoilt_only:
                    reset(connection.client)
                    reset(connection.broker)
        self.call(do)

    def cut_one_way(self, way):
        """"up", "down", or None: the end of it, with a reset of what was cut."""
        def do():
            self.cut = way
        self.call(do)
        if way is None:
            self.reset_all(spoilt_only=True)

    def refuse_first(self, topics):
        def do():
            self.to_refuse = set(topics)
        self.call(do)

    def hold_ends(self, seconds):
        def do():
            self.hold_seconds = seconds
        self.call(do)
