#!/usr/bin/env python3
"""A group coordinator that has forgotten commits which it acknowledged, as Kafka 4.3.0 may when its broker comes back
within its session: the app is the same, with its state, and every record has its effect once. The group's offsets are
put back here, metadata included, which is what such a coordinator answers."""
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from support import BROKERS, PATIENCE, Reader, Scene, create_topics, produce, unique, wait_for

PARTITIONS = 2
KEYS = 40


class Rounds:
    """Hands out the same number of records for each key in every round."""

    def __init__(self, topic):
        self.topic = topic
        self.number = 0

    def send(self, each):
        self.number += each
        produce(self.topic, ((f"k{i % KEYS}", "x") for i in range(each * KEYS)))


def committed(group, topic):
    consumer = Consumer({"bootstrap.servers": BROKERS, "group.id": group, "isolation.level": "read_committed"})
    positions = consumer.committed([TopicPartition(topic, p) for p in range(PARTITIONS)], PATIENCE)
    consumer.close()
    assert all(p.offset > 0 and p.metadata for p in positions), positions
    return [TopicPartition(p.topic, p.partition, p.offset, metadata=p.metadata) for p in positions]


def put_back(group, positions):
    admin = AdminClient({"bootstrap.servers": BROKERS})
    request = [ConsumerGroupTopicPartitions(group, positions)]
    for future in admin.alter_consumer_group_offsets(request).values():
        for position in future.result(PATIENCE).topic_partitions:
            assert position.error is None, position.error


def check_outputs(topic, each):
    counts = {}
    reader = Reader(topic, PARTITIONS)

    def complete():
        for message in reader.take():
            key, count = message.key().decode(), int(message.value())
            assert count == counts.get(key, 0) + 1, f"{key}: {count} after {counts.get(key, 0)}"
            counts[key] = count
        return sum(counts.values()) >= each * KEYS

    wait_for("all results", complete)
    assert not reader.take(3) and set(counts.values()) == {each}, "more results than records"


def main():
    app, source, target = unique("forgetful"), unique("clicks"), unique("totals")
    create_topics(PARTITIONS, source, target)
    rounds = Rounds(source)
    script = f"""
local tm = require "tidemill"
local app = tm.app "{app}"
app:stream("{source}", {{ key = "string", value = "string" }}):group_by_key():count {{ store = "counts" }}:to("{target}")
"""
    with Scene(script) as scene:
        def run():
            process = scene.start("a", "--until-end")
            assert process.process.wait(PATIENCE) == 0
            return process

        rounds.send(50)
        run()
        remembered = committed(app, source)
        rounds.send(30)
        run()
        put_back(app, remembered)
        rounds.send(20)
        process = run()
        check_outputs(target, rounds.number)
        with open(process.log_path) as log:
            assert log.read().count("verdict=resume") == PARTITIONS
        run()
        check_outputs(target, rounds.number)


main()
