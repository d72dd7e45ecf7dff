"""What the tests of whole processes on a real Kafka share. The client is confluent-kafka, independent of Tidemill's code.

Environment: TIDEMILL_TEST_BROKERS (bootstrap address), TIDEMILL (path of the program).
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BROKERS = os.environ["TIDEMILL_TEST_BROKERS"]
PROGRAM = os.environ["TIDEMILL"]
PATIENCE = 180  # seconds until something that must happen is called missing


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


def create_topics(partitions, *names):
    admin = AdminClient({"bootstrap.servers": BROKERS})
    for future in admin.create_topics([NewTopic(n, partitions, 1) for n in names]).values():
        future.result(60)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"waited {PATIENCE} s in vain: {what}")


class Process:
    """One `tidemill run` with its status server."""

    def __init__(self, script, data, name, *options, environment=None):
        self.port = free_port()
        self.log_path = os.path.join(data, name + ".log")
        self.log = open(self.log_path, "a")
        self.process = subprocess.Popen(
            [PROGRAM, "run", script, "--brokers", BROKERS, "--data", data, "--instance", name,
             "--http", f"127.0.0.1:{self.port}", *options],
            stdout=self.log, stderr=self.log, env=dict(os.environ, **(environment or {})))

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def workers(self):
        """Names of the workers that run here, or None while the process does not answer."""
        answer = self.get("/workers")
        return None if answer is None else {w["worker"] for w in json.loads(answer) if w["state"] == "running"}

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def running(self):
        return self.process.poll() is None

    def show_log(self):
        self.log.flush()
        with open(self.log_path) as lines:
            sys.stderr.write("".join(lines.readlines()[-40:]))


class Scene:
    """A directory with a script, and the processes started in it; everything is stopped and removed at the end."""

    def __init__(self, script):
        self.directory = tempfile.mkdtemp(prefix="tidemill-kafka-")
        self.script = os.path.join(self.directory, "pipeline.lua")
        with open(self.script, "w") as file:
            file.write(script)
        self.processes = []

    def start(self, name, *options, environment=None):
        process = Process(self.script, self.directory, name, *options, environment=environment)
        self.processes.append(process)
        return process

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in self.processes:
            if kind is not None:
                process.show_log()
            if process.running():
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def produce(topic, records):
    """`records`: pairs of key and value. Raises when one is not delivered."""
    failed = []
    producer = Producer({"bootstrap.servers": BROKERS, "linger.ms": 20, "enable.idempotence": True,
                         "partitioner": "murmur2_random", "queue.buffering.max.messages": 500000})

    def delivered(error, _):
        if error is not None:
            failed.append(error)

    for key, value in records:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(PATIENCE)
    assert not failed, failed[0]


class Reader:
    """Reads all partitions of a topic from the beginning with read_committed."""

    def __init__(self, topic, partitions):
        self.consumer = Consumer({"bootstrap.servers": BROKERS, "group.id": unique("reader"),
                                  "isolation.level": "read_committed", "enable.auto.commit": False,
                                  "auto.offset.reset": "earliest"})
        self.consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])

    def take(self, timeout=1.0):
        messages = self.consumer.consume(10000, timeout)
        for message in messages:
            assert message.error() is None, message.error()
        return messages

    def close(self):
        self.consumer.close()
