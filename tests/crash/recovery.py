#!/usr/bin/env python3
"""How long an app is silent: from kill -9 of its only process, which is started again at once, to its next committed
output; and on Kafka from SIGTERM of one of two processes to the other's first output on every partition, four times as
often when it has their state from before as when it has to restore all of it.

    recovery.py --tidemill PROGRAM [--broker DIRECTORY] [--keys 1000000] [--times 5]

Without --broker on the embedded log; DIRECTORY is one that tests/support/kafka.sh started. Records come all the while;
the clock runs from the signal until a reader (read_committed) has the first output that was made after it.
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

    def close(self):
        self.ended = True
        shutil.rmtree(self.directory, ignore_errors=True)


class LogScene(Scene):
    name = "embedded log"

    def fill(self):
        path = os.path.join(self.directory, "in.jsonl")
        with open(path, "w") as file:
            for key in range(self.options.keys):
                file.write('{"k":"key-%d"}\n' % key)
        tool = [self.options.tidemill, "produce", "recovery-in"]
        subprocess.run([*tool, path, *self.arguments, "--key", "k"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([self.options.tidemill, "run", self.script, *self.arguments, "--until-end"], check=True,
                       stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.producer = subprocess.Popen([*tool, *self.arguments, "--key", "k"], stdin=subprocess.PIPE,
                                         stdout=subprocess.DEVNULL)
        self.consumer = subprocess.Popen([self.options.tidemill, "consume", "recovery-out", *self.arguments, "--from",
                                          "end", "--follow", "--format", "json"], stdout=subprocess.PIPE)
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.feed, daemon=True).start()

    def feed(self):
        """A pipe that pauses for 100 ms has what it gave committed."""
        while not self.ended:
            lines = "".join('{"k":"key-%d"}\n' % (self.probe + i) for i in range(50))
            self.probe = (self.probe + 50) % self.options.keys
            self.producer.stdin.write(lines.encode())
            self.producer.stdin.flush()
            time.sleep(0.105)

    def read(self):
        for line in self.consumer.stdout:
            self.seen[json.loads(line)["partition"]] = time.monotonic()

    def close(self):
        self.ended = True
        self.consumer.kill()
        self.producer.kill()
        super().close()


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
        for key in range(self.options.keys):
            self.producer.produce("recovery-in", '{"k":"key-%d"}' % key, "key-%d" % key)
            if key % 1000 == 0:
                self.producer.poll(0)
        self.producer.flush(300)
        subprocess.run([self.options.tidemill, "run", self.script, *self.arguments, "--until-end", "--instance", "a"],
                       check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
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


def measure_kills(scene):
    """The output that counts is one made after the kill: the process is dead before the clock starts."""
    first, every = [], []
    process = scene.start("a", "--instance", "a") if scene.name == "Kafka" else scene.start("a")
    for _ in range(scene.options.times):
        scene.wait_for_outputs(time.monotonic(), PARTITIONS)
        time.sleep(1)
        process.kill()
        process.wait()
        time.sleep(0.2)  # the reader has what was committed before
        began = time.monotonic()
        process = scene.start("a", "--instance", "a") if scene.name == "Kafka" else scene.start("a")
        first.append(scene.wait_for_outputs(began, 1))
        scene.wait_for_outputs(began, PARTITIONS)
        every.append(time.monotonic() - began)
    report(scene, "start after kill -9 to the next output", first)
    report(scene, "start after kill -9 to the next output of every partition", every)
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
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    scene = KafkaScene(options) if options.broker else LogScene(options)
    process = None
    try:
        scene.fill()
        process = measure_kills(scene)
        if options.broker:
            process = measure_handover(scene, process)
    finally:
        if process:
            process.kill()
        scene.close()
    os._exit(0)


if __name__ == "__main__":
    main()
