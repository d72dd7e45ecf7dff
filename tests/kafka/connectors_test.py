"""A file that grows goes through Kafka into SQLite, by two processes of one app of which one is killed with -9 again and
again: every line is a row once, whichever process reads the file and whichever writes."""
import json
import os
import sqlite3

from support import Reader, Scene, create_topics, unique, wait_for

ROWS = 60000
KILLS = 6

SCRIPT = """
local tm = require "tidemill"
local app = tm.app "%s"
local lines = app:source("lines", tm.connect.file { path = "%s", key = "id", follow = true })
lines:to("%s", { key = tm.json })
lines:sink("rows", tm.connect.sqlite { path = "%s", table = "rows", key = "id", mode = "insert", auto_create = true,
  tasks = 2, batch = 500 })
"""


class Lines:
    """The file, written a piece at a time."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.count = 0

    def write(self, count):
        for number in range(self.count, self.count + count):
            self.file.write(json.dumps({"id": number, "n": number % 101}) + "\n")
        self.file.flush()
        self.count += count


class Copy:
    """What a topic has, whose records must be the lines once each and in order."""

    def __init__(self, topic):
        self.reader = Reader(topic, 1)
        self.next = 0

    def take(self):
        for message in self.reader.take(0.1):
            number = json.loads(message.value())["id"]
            assert number == self.next, f"line {number} instead of {self.next} at offset {message.offset()}"
            self.next += 1


def rows(path):
    if not os.path.exists(path):
        return 0, 0
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60) as database:
        try:
            return database.execute("SELECT count(*), coalesce(sum(n), 0) FROM rows").fetchone()
        except sqlite3.OperationalError:
            return 0, 0  # no table yet


def main():
    app, topic = unique("connectors"), unique("lines")
    create_topics(1, topic)
    copy = Copy(topic)
    with Scene("") as scene:
        source, target = os.path.join(scene.directory, "lines.jsonl"), os.path.join(scene.directory, "target.db")
        lines = Lines(source)
        with open(scene.script, "w") as script:
            script.write(SCRIPT % (app, source, topic, target))
        names = ["a", "b"]
        running = {name: scene.start(name, "--threads", "2") for name in names}
        for kill in range(KILLS):
            lines.write(ROWS // KILLS)
            before = lines.count - ROWS // KILLS // 2

            def half():
                copy.take()
                return rows(target)[0] >= before

            wait_for(f"{before} rows", half)
            victim = names[kill % 2]
            running[victim].kill()
            running[victim] = scene.start(victim, "--threads", "2")

        def everything():
            copy.take()
            return rows(target)[0] >= lines.count and copy.next >= lines.count

        wait_for("every row", everything)
        codes = [process.stop() for process in scene.processes if process.running()]
        copy.take()
        assert codes == [0, 0], f"exit codes after SIGTERM: {codes}"
        expected = sum(number % 101 for number in range(lines.count))
        assert rows(target) == (lines.count, expected), f"{rows(target)} instead of {(lines.count, expected)}"
        assert copy.next == lines.count, f"{copy.next} records instead of {lines.count}"
    copy.reader.close()
    print(f"connectors: {lines.count} lines, {KILLS} kills, every one a record and a row once")


main()
