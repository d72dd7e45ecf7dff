#!/usr/bin/env python3
"""An input that was deleted and filled again beyond the committed offsets: no watermark tells, the topic's id does. Kafka
forgets a group's positions with the topic, unless the group's coordinator was away then: therefore they are also put
back here. Started by topic_id_test.sh."""
import os
import re
import shutil
import subprocess

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from support import BROKERS, PATIENCE, PROGRAM, Reader, Scene, create_topics, produce, unique, wait_for

PARTITIONS = 2
KEYS = 40
ADMIN = AdminClient({"bootstrap.servers": BROKERS})


def send(topic, each):
    produce(topic, ((f"k{i % KEYS}", "x") for i in range(each * KEYS)))


def make_again(topic):
    for future in ADMIN.delete_topics([topic]).values():
        future.result(PATIENCE)
    wait_for("the topic is gone", lambda: topic not in ADMIN.list_topics(timeout=10).topics)
    create_topics(PARTITIONS, topic)


def positions(group, topic):
    """Offset and metadata by partition, from the records in which the coordinator keeps them: what the client says of
    metadata does not end where they do."""
    ends = {p.partition: p.offset for p in committed(group, topic)}
    found = {}
    reader = Reader("__consumer_offsets", len(ADMIN.list_topics(timeout=10).topics["__consumer_offsets"].partitions))

    def look():
        messages = reader.take(3)
        for message in messages:
            key, value = message.key(), message.value() or b""
            text = re.search(rb"tm1 [-0-9a-f |@=]+", value)
            if text and group.encode() in key and topic.encode() in key:
                partition = int.from_bytes(key[-4:], "big")
                found[partition] = TopicPartition(topic, partition, ends[partition], metadata=text[0].decode())
        return not messages and len(found) == PARTITIONS  # the last ones count

    wait_for("the positions", look)
    reader.close()
    return list(found.values())


def committed(group, topic):
    answer = ADMIN.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(PATIENCE)
    return [p for p in answer.topic_partitions if p.topic == topic]


def put_back(group, places):
    for future in ADMIN.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values():
        for position in future.result(PATIENCE).topic_partitions:
            assert position.error is None, position.error


def check_outputs(topic, totals):
    """Every key is counted up to each of the totals, one after the other."""
    expected = [n for total in totals for n in range(1, total + 1)]
    counts = {}
    reader = Reader(topic, PARTITIONS)

    def complete():
        for message in reader.take():
            counts.setdefault(message.key(), []).append(int(message.value()))
        return sum(map(len, counts.values())) >= KEYS * len(expected)

    wait_for("all results", complete)
    assert not reader.take(3) and all(seen == expected for seen in counts.values()), counts
    reader.close()


def main():
    app, source, target = unique("swapped"), unique("clicks"), unique("totals")
    create_topics(PARTITIONS, source, target)
    script = f"""
local tm = require "tidemill"
local app = tm.app "{app}"
app:stream("{source}", {{ key = "string", value = "string" }}):group_by_key():count {{ store = "counts" }}:to("{target}")
"""
    with Scene(script) as scene:
        told = 0  # bytes of the log that earlier runs wrote

        def run(refused=False):
            nonlocal told
            process = scene.start("a", "--until-end")
            assert process.process.wait(PATIENCE) == (3 if refused else 0)
            with open(process.log_path) as log:
                log.seek(told)
                text = log.read()
                told = log.tell()
            message = f"The topic {source} was deleted and made again"
            assert (message in text and f"tidemill reset --app {app}" in text) == refused

        send(source, 10)
        run()
        run()
        places = positions(app, source)
        make_again(source)
        send(source, 20)
        run(refused=True)  # by what the state remembers
        put_back(app, places)
        run(refused=True)  # by the group's metadata
        shutil.rmtree(os.path.join(scene.directory, "state"))
        run(refused=True)
        subprocess.run([PROGRAM, "reset", "--app", app, "--brokers", BROKERS, "--data", scene.directory,
                        "--to-earliest", "--execute"], check=True)
        run()
        check_outputs(target, (10, 20))
        run()
        check_outputs(target, (10, 20))


main()
