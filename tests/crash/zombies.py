#!/usr/bin/env python3
"""Zombies of sinks on a real Kafka: a process is stopped at a step of a sink beyond its session's timeout, another takes
its partition over and writes, then the first goes on where it stood. What the target has must be every record once, in
the order of each key, and nobody's work may be undone.

Environment: TIDEMILL_TEST_BROKERS, and TIDEMILL, a program that was built with -DTIDEMILL_FAILPOINTS=ON.
Exit 77: the server of PostgreSQL can't be had; SQLite was done.
"""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "kafka"))
from support import Scene, create_topics, produce, unique, wait_for  # noqa: E402

KEYS = 7
ROUND = 200    # records of a round
BATCH = 50     # of a transaction of the sink
SESSION_MS = 4000
OPTIONS = ["--threads", "1", "--set", f"kafka.session.timeout.ms={SESSION_MS}"]

SCRIPT = """
local tm = require "tidemill"
tm.app("%s"):stream("%s"):sink("rows", tm.connect.%s, table = "rows", mode = "insert", batch = %d })
"""
TABLE = "CREATE TABLE rows (place %s PRIMARY KEY, k text, seq bigint)"

# Where the first process stops. In the middle of a transaction it holds the row of its position.
STEPS = ["sink-write:2:stop", "sink-rows:2:stop", "sink-commit:2:stop"]


class Skip(Exception):
    pass


class Sqlite:
    name = "sqlite"

    def __init__(self, directory):
        self.path = os.path.join(directory, "target.db")
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(TABLE % "integer")

    def connector(self):
        return 'sqlite { path = "%s"' % self.path

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as database:
            return database.execute("SELECT k, seq FROM rows ORDER BY place").fetchall()

    def is_awaited_by(self, process):
        with open(process.log_path) as log:
            return "database is locked" in log.read()  # said after five seconds

    def refused(self):
        return None  # the target writes no log

    def close(self):
        pass


class Postgres:
    name = "postgres"

    def __init__(self, directory):
        self.control = os.path.join(HERE, "..", "support", "postgres.sh")
        self.directory = os.path.join(directory, "server")
        started = subprocess.run([self.control, "start", self.directory, "-c", "fsync=off"], stdout=subprocess.PIPE,
                                 check=False)
        if started.returncode == 77:
            raise Skip()
        assert started.returncode == 0, "the server does not start"
        self.url = started.stdout.decode().strip()
        self.psql(TABLE % "bigserial")

    def psql(self, sql):
        return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url], check=True,
                              stdout=subprocess.PIPE).stdout.decode()

    def connector(self):
        return 'postgres { url = "%s"' % self.url

    def rows(self):
        lines = self.psql("SELECT k, seq FROM rows ORDER BY place").splitlines()
        return [(line.split("|")[0], int(line.split("|")[1])) for line in lines]

    def is_awaited_by(self, _):
        return self.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").strip() != "0"

    def refused(self):
        """How often the server has refused to move a position that was not the expected one."""
        with open(self.log_path(), errors="replace") as log:
            return sum("another process writes for this sink" in line and "ERROR" in line for line in log)

    def log_path(self):
        return self.psql("SELECT rtrim(current_setting('data_directory'), '/')").strip() + "/../log"

    def close(self):
        subprocess.run([self.control, "remove", self.directory], check=False)


class Input:
    """Numbers per key, in rounds."""

    def __init__(self, topic):
        self.topic = topic
        self.sent = 0

    def feed(self):
        first, self.sent = self.sent, self.sent + ROUND
        produce(self.topic, ((f"k{i % KEYS}", json.dumps({"k": f"k{i % KEYS}", "seq": i // KEYS}))
                             for i in range(first, self.sent)))


def is_stopped(process):
    with open(f"/proc/{process.process.pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def check(target, sent):
    """Every record is a row once, and rows of a key are in the order of its records."""
    rows = target.rows()
    assert len(rows) == sent, f"{len(rows)} rows of {sent} records"
    following = {}
    for key, number in rows:
        assert number == following.get(key, 0), f"{key}: {number} instead of {following.get(key, 0)}"
        following[key] = number + 1


def raise_zombie(target, directory, step):
    app, topic = unique("zombies"), unique("zombies-in")
    create_topics(1, topic)
    records = Input(topic)
    with Scene(SCRIPT % (app, topic, target.connector(), BATCH)) as scene:
        zombie = scene.start("zombie", *OPTIONS, environment={"TIDEMILL_FAILPOINTS": step})
        records.feed()
        wait_for(f"{step} is reached", lambda: is_stopped(zombie))
        assert len(target.rows()) < ROUND, "nothing is left to do for the other"
        other = scene.start("other", *OPTIONS)
        records.feed()
        if step.startswith("sink-rows"):  # it holds the lock
            wait_for("the other wants to write", lambda: target.is_awaited_by(other))
        else:
            wait_for("the other has written all", lambda: len(target.rows()) == records.sent)
        zombie.process.send_signal(signal.SIGCONT)
        records.feed()
        wait_for("all is written", lambda: len(target.rows()) >= records.sent)
        wait_for("the zombie is back in the group", lambda: zombie.get("/readyz") is not None)
        assert zombie.running() and other.running(), "a process has ended"
        assert other.stop() == 0, "SIGTERM ends with 0"
        records.feed()
        wait_for("the one that was a zombie writes", lambda: len(target.rows()) >= records.sent)
        assert zombie.stop() == 0, "SIGTERM ends with 0"
        check(target, records.sent)
    return records.sent


def main():
    status = 0
    for make in (Sqlite, Postgres):
        for step in STEPS:
            with Scene("") as place:
                try:
                    target = make(place.directory)
                except Skip:
                    print("SKIP: zombies were not tried on PostgreSQL, which can't be had", file=sys.stderr)
                    status = 77
                    continue
                try:
                    sent = raise_zombie(target, place.directory, step)
                    refused = target.refused()
                    assert refused != 0 or not step.startswith("sink-write"), \
                        "the server has refused nobody: the zombie has not tried to write"
                finally:
                    target.close()
            told = "" if refused is None else f", {refused} refused by the target's position"
            print(f"zombie: {target.name}, stopped at {step.split(':')[0]}: {sent} records, each a row once{told}")
    return status


if __name__ == "__main__":
    sys.exit(main())
