#!/usr/bin/env python3
"""The verifier of the crash campaigns: one set of checks, two readers (a Kafka broker, the embedded log).

    verifier.py --data DIR [--tidemill PROGRAM] | --brokers HOST:PORT    checks everything that is in the topics

The input "crash-in" holds records {"k": key, "seq": 1.., "amount": a}. The pipeline (pipeline.lua beside this file) writes
for every record
    crash-sums     per key: number, sum and last sequence number so far
    crash-groups   per group, behind a repartition topic: number and sum so far, and which record it was
so that each intermediate value says whether a record was lost, came twice, or came in another order. What the changelog
adds up to, and what the input does, must be what the outputs end with.
"""
import argparse
import json
import subprocess
import sys
import time
import uuid

KEYS = 200
GROUPS = 7
INPUT, SUMS, GROUPED = "crash-in", "crash-sums", "crash-groups"
APP = "crash"
CHANGELOGS = {"sums": f"{APP}-sums-changelog", "groups": f"{APP}-groups-changelog"}
PATIENCE = 90  # seconds until something that must come is called lost


def amount(key, seq):
    return (key * 31 + seq * 37) % 101


def key_number(text):
    return int(text[1:])


def group_of(key):
    return f"g{key % GROUPS}"


class Failure(AssertionError):
    """What is wrong, by kind, so that a campaign can count."""

    def __init__(self, kind, text):
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Chain:
    """One key of an output: its values must be number 1, 2, 3, ... with the sum of what came so far."""

    def __init__(self):
        self.n = 0
        self.sum = 0

    def take(self, where, found_n, found_sum, added):
        if found_n != self.n + 1:
            kind = "duplicated" if found_n <= self.n else "lost"
            raise Failure(kind, f"{where}: number {found_n} follows number {self.n}")
        if found_sum != self.sum + added:
            raise Failure("wrong", f"{where}: number {found_n} has sum {found_sum} instead of {self.sum + added}")
        self.n, self.sum = found_n, found_sum


class Verifier:
    """Takes the records of the outputs in the order of their partitions; raises a Failure at the first wrong one."""

    def __init__(self):
        self.sums = [Chain() for _ in range(KEYS)]
        self.groups = {f"g{g}": Chain() for g in range(GROUPS)}
        self.sequences = [0] * KEYS  # in the groups
        self.checked = 0

    def take(self, topic, key, value, where):
        if topic == SUMS:
            self.take_sum(key_number(key), value, where)
        else:
            self.take_group(key, value, where)
        self.checked += 1

    def take_sum(self, key, value, where):
        chain = self.sums[key]
        if value["last"] != value["n"]:
            raise Failure("reordered", f"{where}: number {value['n']} of key {key} was made by record {value['last']}")
        chain.take(f"{where}, key {key}", value["n"], value["sum"], amount(key, value["n"]))

    def take_group(self, group, value, where):
        key, seq = key_number(value["k"]), value["seq"]
        if seq != self.sequences[key] + 1:
            kind = "duplicated" if seq <= self.sequences[key] else "lost"
            raise Failure(kind, f"{where}: record {seq} of key {key} follows record {self.sequences[key]}")
        self.sequences[key] = seq
        self.groups[group].take(f"{where}, group {group}", value["n"], value["sum"], amount(key, seq))

    def total(self, topic):
        return sum(c.n for c in (self.sums if topic == SUMS else self.groups.values()))

    def check_complete(self, sent):
        """`sent`: how many records of each key are in the input."""
        for key in range(KEYS):
            if self.sums[key].n != sent[key] or self.sequences[key] != sent[key]:
                raise Failure("lost", f"key {key}: {sent[key]} records, {self.sums[key].n} sums, "
                                      f"{self.sequences[key]} in groups")

    def check_folds(self, what, folds):
        """`folds`: store -> {key: value} as `what` leaves it, changelog or store; markers of the runtime are left out."""
        sums = {f"k{k}": {"n": c.n, "sum": c.sum, "last": c.n} for k, c in enumerate(self.sums) if c.n}
        groups = {g: {"n": c.n, "sum": c.sum} for g, c in self.groups.items() if c.n}
        for store, expected in (("sums", sums), ("groups", groups)):
            found = {k: {f: v[f] for f in ("n", "sum", "last") if f in v} for k, v in folds[store].items()}
            if found != expected:
                wrong = [k for k in expected if found.get(k) != expected[k]] + [k for k in found if k not in expected]
                raise Failure("wrong", f"the {what} of {store} and the fold of the input differ at {wrong[:3]}: "
                                       f"{found.get(wrong[0])}, not {expected.get(wrong[0])}")


def count_input(records):
    """How many records of each key; the producer must have written 1, 2, 3, ..."""
    sent = [0] * KEYS
    for value in records:
        key = key_number(value["k"])
        if value["seq"] != sent[key] + 1 or value["amount"] != amount(key, value["seq"]):
            raise Failure("wrong", f"the input's record {value} follows number {sent[key]} of its key")
        sent[key] += 1
    return sent


# ---- the embedded log ----

class LogReader:
    """Reads topics of an embedded log through `tidemill consume`."""

    def __init__(self, program, data):
        self.program, self.data = program, data
        self.offsets = {}

    def consume(self, topic, *options):
        command = [self.program, "consume", topic, "--data", self.data, "--format", "json", *options]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if result.returncode != 0:
            raise Failure("wrong", f"{' '.join(command)} ended with {result.returncode}: {result.stderr.decode()}")
        return [json.loads(line) for line in result.stdout.splitlines()]

    def whole(self, topic):
        return self.consume(topic)

    def fold(self, topic):
        records = self.consume(topic, "--latest")
        return {r["key"]: r["value"] for r in records if not r["key"].startswith("\0")}


def dump_store(program, store, *options):
    """What is in the files of a store, which are read at rest."""
    command = [program, "state", "dump", store, "--format", "json", *options]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if result.returncode != 0:
        raise Failure("wrong", f"{' '.join(command)} ended with {result.returncode}: {result.stderr.decode()}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def by_key(store, records):
    """A key must not be in two partitions."""
    values = {r["key"]: r["value"] for r in records}
    if len(values) != len(records):
        raise Failure("wrong", f"a key is twice in the store {store}")
    return values


def read_stores(program, data):
    return {store: by_key(store, dump_store(program, store, "--app", APP, "--data", data)) for store in CHANGELOGS}


def read_owned_stores(program, owners):
    """`owners`: (store, partition) -> its directory at the process that has it. Others may keep older copies."""
    records = {store: [] for store in CHANGELOGS}
    for (store, partition), directory in owners.items():
        records[store] += dump_store(program, store, "--state-dir", directory, "--partition", str(partition))
    return {store: by_key(store, found) for store, found in records.items()}


class LogFollower:
    """One long-lived `consume --follow`: what a reader sees while processes die beside it."""

    def __init__(self, program, data, topic):
        self.topic = topic
        self.process = subprocess.Popen([program, "consume", topic, "--data", data, "--format", "json", "--follow"],
                                        stdout=subprocess.PIPE, start_new_session=True)
        self.next = {}

    def check_offset(self, record):
        partition, offset = record["partition"], record["offset"]
        expected = self.next.get(partition, 0)
        if offset != expected:
            raise Failure("wrong", f"{self.topic} [{partition}]: offset {offset} follows {expected - 1}")
        self.next[partition] = offset + 1

    def feed(self, verifier):
        """Until the process ends; for a thread of its own."""
        for line in self.process.stdout:
            record = json.loads(line)
            self.check_offset(record)
            where = f"{self.topic} [{record['partition']}] {record['offset']}"
            verifier.take(self.topic, record["key"], record["value"], where)

    def stop(self):
        self.process.terminate()
        self.process.wait()


# ---- Kafka ----

class KafkaReader:
    """Reads topics with the independent client confluent-kafka, read_committed unless told otherwise."""

    def __init__(self, brokers, *topics, whole=True):
        """`whole` false: from where the topics begin now; else one that was cut short is a failure."""
        from confluent_kafka import Consumer, TopicPartition  # only where it is needed: the embedded campaigns have no client
        self.brokers, self.topics = brokers, topics
        self.partition_of = TopicPartition
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": f"verifier-{uuid.uuid4().hex}",
                                  "isolation.level": "read_committed", "enable.auto.commit": False,
                                  "auto.offset.reset": "error", "enable.partition.eof": False, "log_level": 0})
        self.places = [TopicPartition(t, p, 0) for t in topics for p in self.partitions(t)]
        for place in self.places if not whole else []:
            place.offset = self.consumer.get_watermark_offsets(place, timeout=60)[0]
        self.consumer.assign(self.places)
        self.next = {}

    def partitions(self, topic):
        return self.consumer.list_topics(topic, 60).topics[topic].partitions

    def take(self, timeout=0.5):
        messages = self.consumer.consume(10000, timeout)
        good = []
        for message in messages:
            if message.error() is None:
                good.append(message)
            elif not message.error().retriable() and message.error().name() not in ("_ALL_BROKERS_DOWN", "_TRANSPORT"):
                raise Failure("wrong", f"{message.topic()} [{message.partition()}]: {message.error()}")
        return good

    def feed(self, verifier, timeout=0.5):
        for message in self.take(timeout):
            where = f"{message.topic()} [{message.partition()}] {message.offset()}"
            verifier.take(message.topic(), message.key().decode(), json.loads(message.value()), where)

    def high_watermarks(self):
        """A handle of its own: a read_committed one would answer with the last stable offsets."""
        from confluent_kafka import Consumer
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "verifier-ends",
                             "isolation.level": "read_uncommitted", "enable.auto.commit": False})
        ends = {(p.topic, p.partition): consumer.get_watermark_offsets(p, timeout=60)[1] for p in self.places}
        consumer.close()
        return ends

    def at_ends(self, ends):
        positions = self.consumer.position(self.places)
        return all(max(p.offset, 0) >= ends[p.topic, p.partition] for p in positions)

    def read_to_ends(self, each):
        """Until every position, which also counts control and aborted records, has reached the high watermark: before
        the last stable offset equals it nothing may be called lost."""
        ends = self.high_watermarks()
        deadline = time.monotonic() + PATIENCE
        while not self.at_ends(ends):
            for message in self.take():
                each(message)
                deadline = time.monotonic() + PATIENCE
            if time.monotonic() > deadline:
                raise Failure("hanging", f"the last stable offsets of {self.topics} stay below {ends}")

    def close(self):
        self.consumer.close()


def kafka_whole(brokers, *topics, whole=True):
    reader = KafkaReader(brokers, *topics, whole=whole)
    messages = []
    reader.read_to_ends(messages.append)
    reader.close()
    return messages


def kafka_fold(brokers, topic):
    fold = {}
    for message in kafka_whole(brokers, topic, whole=False):  # compaction, or a step of the campaign, cuts them short
        if message.key().startswith(b"\0"):
            continue
        if message.value() is None:
            fold.pop(message.key().decode(), None)
        else:
            fold[message.key().decode()] = json.loads(message.value())
    return fold


# ---- everything at once ----

def verify_log(program, data):
    reader = LogReader(program, data)
    verifier = Verifier()
    sent = count_input(r["value"] for r in reader.whole(INPUT))
    for topic in (SUMS, GROUPED):
        for record in reader.whole(topic):
            verifier.take(topic, record["key"], record["value"], f"{topic} [{record['partition']}] {record['offset']}")
    verifier.check_complete(sent)
    verifier.check_folds("changelog", {store: reader.fold(topic) for store, topic in CHANGELOGS.items()})
    verifier.check_folds("store", read_stores(program, data))
    return verifier, sent


def verify_kafka(brokers, stores=None):
    """`stores`: what is in the files of those who have the partitions; None: the topics only."""
    verifier = Verifier()
    sent = count_input(json.loads(m.value()) for m in kafka_whole(brokers, INPUT))
    reader = KafkaReader(brokers, SUMS, GROUPED)
    reader.read_to_ends(lambda m: verifier.take(m.topic(), m.key().decode(), json.loads(m.value()),
                                                f"{m.topic()} [{m.partition()}] {m.offset()}"))
    reader.close()
    verifier.check_complete(sent)
    verifier.check_folds("changelog", {store: kafka_fold(brokers, topic) for store, topic in CHANGELOGS.items()})
    if stores is not None:
        verifier.check_folds("store", stores)
    return verifier, sent


def main():
    parser = argparse.ArgumentParser(description="Checks the topics of a crash campaign.")
    parser.add_argument("--data")
    parser.add_argument("--brokers")
    parser.add_argument("--tidemill", default="tidemill")
    options = parser.parse_args()
    try:
        verifier, sent = verify_kafka(options.brokers) if options.brokers else verify_log(options.tidemill, options.data)
    except Failure as failure:
        sys.exit(str(failure))
    print(f"{sum(sent)} records of {sum(1 for n in sent if n)} keys, {verifier.checked} results: every one once and in order")


if __name__ == "__main__":
    main()
