#!/usr/bin/env python3
"""A group whose committed offsets have expired, or were deleted: the app is refused with state on its machine and without,
since reading from the start would count its records twice; after a reset it starts."""
import glob
import os
import shutil
import subprocess

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from support import BROKERS, PATIENCE, PROGRAM, Reader, Scene, create_topics, produce, unique, wait_for

PARTITIONS = 2
KEYS = 20
RECORDS = 5 * KEYS
REFUSED = 3


def delete_group(group):
    """What offsets.retention.minutes does to a group that has been empty for so long."""
    admin = AdminClient({"bootstrap.servers": BROKERS})

    def deleted():
        try:
            admin.delete_consumer_groups([group])[group].result(PATIENCE)
            return True
        except KafkaException as error:
            assert error.args[0].code() == KafkaError.NON_EMPTY_GROUP, error
            return False

    wait_for("the group is empty", deleted)


class App:
    def __init__(self, scene, name):
        self.scene = scene
        self.name = name

    def run(self, *options):
        """Exit code and what this run has logged."""
        process = self.scene.start("a", "--until-end", *options)
        with open(process.log_path) as log:
            log.seek(0, os.SEEK_END)
            code = process.process.wait(PATIENCE)
            return code, log.read()

    def lose_state(self):
        """The stores only: with another instance id the group would wait for the old member's session to end."""
        stores = glob.glob(os.path.join(self.scene.directory, "state", self.name, "a", "counts_*"))
        assert len(stores) == PARTITIONS, stores
        for store in stores:
            shutil.rmtree(store)

    def check_refused(self, message, *options):
        code, log = self.run(*options)
        assert code == REFUSED and message in log and f"tidemill reset --app {self.name}" in log, (code, log)

    def reset(self):
        command = [PROGRAM, "reset", "--app", self.name, "--to-earliest", "--execute", "--brokers", BROKERS,
                   "--data", self.scene.directory]
        subprocess.run(command, check=True, timeout=PATIENCE)


class Counts:
    """What the app writes: the count of a key after each of its records."""

    def __init__(self, topic):
        self.reader = Reader(topic, PARTITIONS)
        self.seen = {}

    def check(self, records, start=0):
        """So many more results come, each key's counts going on from `start`, and then no more."""
        results = []

        def complete():
            results.extend((m.key(), int(m.value())) for m in self.reader.take())
            return len(results) >= records

        wait_for("all results", complete)
        results.extend(self.reader.take(3))
        assert len(results) == records, "more results than records"
        seen = {}
        for key, count in results:
            assert count == seen.get(key, start) + 1, f"{key}: {count} after {seen.get(key, start)}"
            seen[key] = count


def main():
    name, source, target = unique("expired"), unique("clicks"), unique("totals")
    create_topics(PARTITIONS, source, target)
    script = f"""
local tm = require "tidemill"
local app = tm.app "{name}"
app:stream("{source}", {{ key = "string", value = "string" }}):group_by_key():count {{ store = "counts" }}:to("{target}")
"""
    with Scene(script) as scene:
        app, counts = App(scene, name), Counts(target)

        def send():
            produce(source, ((f"k{i % KEYS}", "x") for i in range(RECORDS)))

        send()
        assert app.run()[0] == 0
        counts.check(RECORDS)
        delete_group(name)
        app.check_refused("holds state up to offset")
        app.lose_state()
        app.check_refused(f"but its changelog {name}-counts-changelog has state")
        app.check_refused(f"but its changelog {name}-counts-changelog has state")
        app.reset()
        assert app.run()[0] == 0
        counts.check(RECORDS)


main()
