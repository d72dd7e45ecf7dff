#!/usr/bin/env python3
"""How long an app is silent: from kill -9 of its only process, which is started again at once, to its next commit, in
the middle of a backlog; and on Kafka from SIGTERM of one of two processes to the other's first output on every
partition, four times as often when it has their state from before as when it has to restore all of it.

    recovery.py --tidemill PROGRAM [--broker DIRECTORY] [--keys 1000000] [--backlog 8000000] [--times 5]

Without --broker on the embedded log; DIRECTORY is one that tests/support/kafka.sh started. The clock runs from the
signal: after a kill until the group's committed positions have moved, which takes the outputs along; after SIGTERM until
a reader (read_committed) has an output that was made after it, while records come all the time.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time

PARTITIONS = 4
PATIENCE = 60
SCRIPT = """
local tm = require "tidemill"
local app = tm.app "recovery"
app:stream("recovery-in"):group_by_key():count { store = "counts" }:to("recovery-out")
"""


class Scene:
    def __init__(self, options):
        self.options = options
        self.directory = tempfile.mkdtemp(prefix="tidemill-recovery-")
        self.script = os.path.join(self.directory, "pipeline.lua")
        with open(self.script, "w") as file:
            file.write(SCRIPT)
        self.arguments = ["--data", self.directory]
        self.probe = 0
        self.seen = [0.0] * PARTITIONS  # when the newest output of each partition came
        self.ended = False

    def start(self, name, *more):
        with open(os.path.join(self.directory, name + ".log"), "ab") as log:
            return subprocess.Popen([self.options.tidemill, "run", self.script, *self.arguments, *more], stdout=log,
                                    stderr=log, stdin=subprocess.DEVNULL)

    def wait_for_outputs(self, after, partitions):
        """When each of so many partitions has had an output since."""
        while sum(t > after for t in self.seen) < partitions:
            time.sleep(0.0005)
        return time.monotonic() - after

    def start_first(self):
        return self.start("a", "--instance", "a")

    def wait_for_commit(self, before, every):
        """Until the committed position of one partition, or of every one, is behind those of `before`."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            moved = [now > then for now, then in zip(self.positions(), before)]
            if all(moved) if every else any(moved):
                return
        raise SystemExit(f"recovery.py: nothing was committed for {PATIENCE} s. Is the backlog used up? Give a larger "
                         "--backlog, or look at the log in " + self.directory)

    def close(self):
        self.ended = True
        shutil.rmtree(self.directory, ignore_errors=True)


class LogScene(Scene):
    name = "embedded log"

    def start_first(self):
        return self.start("a")

    def produce(self, count):
        path = os.path.join(self.directory, "in.jsonl")
        with open(path, "w") as file:
            for key in range(count):
                file.write('{"k":"key-%d"}\n' % (key % self.options.keys))
        subprocess.run([self.options.tidemill, "produce", "recovery-in", path, *self.arguments, "--key", "k"],
                       check=True, stdout=subprocess.DEVNULL)

    def fill(self):
        self.produce(self.options.keys)
        subprocess.run([self.options.tidemill, "run", self.script, *self.arguments, "--until-end"], check=True,
                       stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def positions(self):
        lag = subprocess.run([self.options.tidemill, "lag", "--app", "recovery", *self.arguments, "--json"], check=True,
                             stdout=subprocess.PIPE)
        rows = [json.loads(line) for line in lag.stdout.splitlines()]
        return [row["committed"] for row in sorted(rows, key=lambda row: row["partition"])]


class KafkaScene(Scene):
    name = "Kafka"

    def __init__(self, options):
        super().__init__(options)
        with open(os.path.join(options.broker, "bootstrap")) as file:
            self.brokers = file.read().strip()
        self.arguments += ["--brokers", self.brokers]

    def fill(self):
        from confluent_kafka import Consumer, Producer, TopicPartition
        from confluent_kafka.admin import AdminClient, NewTopic
        admin = AdminClient({"bootstrap.servers": self.brokers})
        for future in admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in ("recovery-in", "recovery-out")]).values():
            future.result(60)
        self.producer = Producer({"bootstrap.servers": self.brokers, "linger.ms": 5, "partitioner": "murmur2_random",
                                  "queue.buffering.max.messages": 2000000})
        self.group = Consumer({"bootstrap.servers": self.brokers, "group.id": "recovery",
                               "isolation.level": "read_uncommitted"})  # does not wait for the dead one's transaction
        self.produce(self.options.keys)
        subprocess.run([self.options.tidemill, "run", self.script, *self.arguments, "--until-end", "--instance", "a"],
                       check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def produce(self, count):
        for i in range(count):
            key = i % self.options.keys
            self.producer.produce("recovery-in", '{"k":"key-%d"}' % key, "key-%d" % key)
            if i % 1000 == 0:
                self.producer.poll(0.01 if len(self.producer) > 1000000 else 0)
        self.producer.flush(300)

    def positions(self):
        from confluent_kafka import TopicPartition
        committed = self.group.committed([TopicPartition("recovery-in", p) for p in range(PARTITIONS)], timeout=60)
        return [place.offset for place in committed]

    def wait_for_end(self):
        from confluent_kafka import TopicPartition
        ends = [self.group.get_watermark_offsets(TopicPartition("recovery-in", p), timeout=60)[1]
                for p in range(PARTITIONS)]
        while self.positions() != ends:
            time.sleep(0.1)

    def begin_traffic(self):
        from confluent_kafka import Consumer, TopicPartition
        self.wait_for_end()
        self.consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "recovery-reader",
                                  "isolation.level": "read_committed", "fetch.wait.max.ms": 10})
        places = [TopicPartition("recovery-out", p) for p in range(PARTITIONS)]
        for place in places:
            place.offset = self.consumer.get_watermark_offsets(place, timeout=60)[1]
        self.consumer.assign(places)
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.feed, daemon=True).start()

    def feed(self):
        while not self.ended:
            for _ in range(10):
                self.probe = (self.probe + 1) % self.options.keys
                self.producer.produce("recovery-in", '{"k":"key-%d"}' % self.probe, "key-%d" % self.probe)
            self.producer.poll(0)
            time.sleep(0.02)

    def read(self):
        while not self.ended:
            for message in self.consumer.consume(1000, 0.01):
                if message.error() is None:
                    self.seen[message.partition()] = time.monotonic()


def report(scene, what, times):
    print(f"{scene.name}, {scene.options.keys} keys: {what}: median {statistics.median(times) * 1000:.0f} ms, "
          f"{min(times) * 1000:.0f} to {max(times) * 1000:.0f} ms, {len(times)} times", flush=True)


def measure_kills(scene, what):
    """What a dead process has committed stands fast: what moves then is the next one's work."""
    first, every = [], []
    process = scene.start_first()
    for _ in range(scene.options.times):
        scene.wait_for_commit(scene.positions(), every=True)
        time.sleep(0.5)
        began = time.monotonic()
        process.kill()
        process.wait()
        before = scene.positions()
        process = scene.start_first()
        scene.wait_for_commit(before, every=False)
        first.append(time.monotonic() - began)
        scene.wait_for_commit(before, every=True)
        every.append(time.monotonic() - began)
    report(scene, f"kill -9 {what} to the next commit", first)
    report(scene, f"kill -9 {what} to the next commit of every partition", every)
    return process


def hand_over(scene, process, other):
    """Ends the first process; seconds until the second one has answered for its partitions."""
    scene.wait_for_outputs(time.monotonic(), PARTITIONS)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait()
    scene.wait_for_outputs(time.monotonic(), PARTITIONS)
    took = time.monotonic() - began
    process = scene.start("a", "--instance", "a")
    time.sleep(3)
    other.send_signal(signal.SIGTERM)
    other.wait()
    scene.wait_for_outputs(time.monotonic(), PARTITIONS)
    return process, took


def measure_handover(scene, process):
    """The second process has the state of the first one's partitions from the time before, or has none at all and
    restores it from the changelog."""
    for state, times in (("", 4 * scene.options.times), (", which has no state of them", scene.options.times)):
        took = []
        for i in range(times + (state == "")):
            if state:
                shutil.rmtree(os.path.join(scene.directory, "state", "recovery", "b"))
            other = scene.start("b", "--instance", "b")
            time.sleep(6 if state else 3)
            process, seconds = hand_over(scene, process, other)
            if state or i > 0:  # the very first time b has none
                took.append(seconds)
        report(scene, f"SIGTERM of one of two to the other's output of every partition{state}", took)
    return process


def main():
    parser = argparse.ArgumentParser(description="Measures how long an app is silent.")
    parser.add_argument("--tidemill", required=True)
    parser.add_argument("--broker")
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--backlog", type=int, default=8000000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    scene = KafkaScene(options) if options.broker else LogScene(options)
    process = None
    try:
        scene.fill()
        scene.produce(options.backlog)
        process = measure_kills(scene, "in the middle of a backlog")
        if options.broker:
            scene.begin_traffic()
            process = measure_handover(scene, process)
    finally:
        if process:
            process.kill()
        scene.close()
    os._exit(0)


if __name__ == "__main__":
    main()
