"""The ways of the connectors' campaign: what goes in, and what must have come out once everything has arrived."""
import collections
import glob
import json
import os
import shutil
import sqlite3
import subprocess

from verifier import Failure

HERE = os.path.dirname(os.path.abspath(__file__))
KEYS = 40
BAD = 13  # the amount that the table of rows refuses
REFUSED = 12  # the amount that an operator before a sink refuses

# Where every way may die: failpoint, within how many hits.
SOURCE_POINTS = [("source-open", 1), ("source-batch", 8), ("source-taken", 6), ("source-position", 6)]
TELL_POINTS = [("source-tell", 4), ("source-told", 4)] # where the source forgets what is committed
SINK_POINTS = [("sink-open", 3), ("sink-write", 12), ("sink-rows", 12), ("sink-commit", 12)]
COMMIT_POINTS = [("c3", 6), ("c5", 6), ("c6", 6), ("c7", 8), ("c8", 6), ("c9", 8), ("c10", 8)]


class Route:
    """A pipeline between two places in a directory; `random` draws what goes in."""

    name = None
    points = SOURCE_POINTS + SINK_POINTS + COMMIT_POINTS
    births = [("source-batch", 3), ("source-position", 2), ("sink-rows", 3)]  # of the first starts
    sinks = 2
    reach_seconds = 3  # a failpoint that was not reached by then is not waited for

    def __init__(self, directory, random):
        self.directory = os.path.join(directory, self.name)
        self.random = random
        self.sent = 0
        os.makedirs(self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    @property
    def pipeline(self):
        return os.path.join(HERE, "connectors", f"{self.name}.lua")

    def environment(self):
        raise NotImplementedError

    def feed(self):
        raise NotImplementedError

    def count(self):
        """How much has come out."""
        raise NotImplementedError

    def arrived(self):
        """Whether as much has come out as went in; more is a failure."""
        raise NotImplementedError

    def verify(self, program, data):
        """Everything has arrived and no process runs."""
        raise NotImplementedError

    def close(self):
        pass


def compare(what, found, expected):
    if found == expected:
        return
    keys = [k for k in set(found) | set(expected) if found.get(k) != expected.get(k)]
    raise Failure("wrong", f"{what}: {len(keys)} keys differ; of {keys[0]!r} there is {found.get(keys[0])!r:.300}, "
                           f"not {expected.get(keys[0])!r:.300}")


def check_count(what, found, expected):
    if found > expected:
        raise Failure("duplicated", f"{what}: {found} of {expected}")
    return found == expected


class FileRoute(Route):
    """Lines appended to a file -> rows of a table, files, and sums that were counted on the way."""

    name = "file"
    sinks = 3
    points = Route.points + [("sink-refused", 1), ("sink-pass", 1)]

    def __init__(self, directory, random):
        super().__init__(directory, random)
        self.last = collections.Counter()
        self.lines = collections.defaultdict(list)  # key -> numbers that the tables take
        self.bad = set()
        self.buried = set()  # dead letters in the logs of zombies
        self.verified = 0
        self.rows = collections.defaultdict(list)
        open(self.path("input.jsonl"), "w").close()
        self.target = sqlite3.connect(self.path("target.db"), timeout=60, isolation_level=None)
        self.target.execute("PRAGMA journal_mode = WAL")
        self.target.execute(f"CREATE TABLE rows (k TEXT, seq INTEGER, amount INTEGER CHECK (amount <> {BAD}))")
        self.target.execute("CREATE TABLE sums (k TEXT PRIMARY KEY, n INTEGER, total INTEGER, last INTEGER)")

    def environment(self):
        return {"CRASH_INPUT": self.path("input.jsonl"), "CRASH_TARGET": self.path("target.db"),
                "CRASH_FILES": self.path("files")}

    def line(self):
        key = f"k{self.random.randrange(KEYS)}"
        self.last[key] += 1
        amount = BAD if self.random.random() < 0.004 else self.random.randrange(100, 1000)
        if amount == BAD:
            self.bad.add((key, self.last[key]))
        else:
            self.lines[key].append((self.last[key], amount))
        return json.dumps({"k": key, "seq": self.last[key], "amount": amount})

    def feed(self):
        count = self.random.choice((1, 7, 40, 300))
        with open(self.path("input.jsonl"), "a") as file:
            file.write("".join(self.line() + "\n" for _ in range(count)))
        self.sent += count

    def one(self, sql):
        return self.target.execute(sql).fetchone()[0]

    def count(self):
        return self.one("SELECT count(*) FROM rows")

    def arrived(self):
        rows = check_count("rows", self.count(), self.sent - len(self.bad))
        sums = check_count("sums", self.one("SELECT coalesce(sum(n), 0) FROM sums"), self.sent)
        return rows and sums and sum(1 for _ in self.written()) == self.sent

    def written(self):
        """Values in the files of the sink, finished ones and parts as far as their names say, in order."""
        for path in sorted(glob.glob(self.path("files/crash-*")) + glob.glob(self.path("files/.crash-*.part")),
                           key=lambda p: os.path.basename(p).lstrip(".")):
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except FileNotFoundError:  # it was renamed just now
                continue
            if path.endswith(".part"):
                data = data[:int(path.split(".")[-3])]
            for line in data.splitlines():
                yield json.loads(line)

    def verify(self, program, data):
        for rowid, key, seq, amount in self.target.execute(
                f"SELECT rowid, k, seq, amount FROM rows WHERE rowid > {self.verified} ORDER BY rowid"):
            self.rows[key].append((seq, amount))
            self.verified = rowid
        compare("rows", self.rows, self.lines)
        amounts = {k: sum(a for _, a in v) + BAD * sum(1 for b, _ in self.bad if b == k) for k, v in self.lines.items()}
        compare("sums", {k: (n, t, last) for k, n, t, last in self.target.execute("SELECT * FROM sums")},
                {k: (n, amounts.get(k, 0), n) for k, n in self.last.items()})
        found = collections.defaultdict(list)
        for value in self.written():
            found[value["k"]].append(value["seq"])
        compare("files", found, {k: list(range(1, n + 1)) for k, n in self.last.items()})
        self.verify_dead_letters(program, data)

    def dead_letters(self, program, data):
        result = subprocess.run([program, "consume", f"crash-{self.name}-dead-letter", "--data", data, "--format", "value"],
                                stdout=subprocess.PIPE, check=True)
        return {(v["k"], v["seq"]) for v in map(json.loads, result.stdout.splitlines())}

    def bury(self, program, data):
        """Of a zombie's log its dead letters are left: their records were passed before it was fenced."""
        self.buried |= self.dead_letters(program, data)

    def verify_dead_letters(self, program, data):
        """A bad record is there at least once, and nothing else is."""
        letters = self.dead_letters(program, data) | self.buried
        if letters != self.bad:
            raise Failure("lost", f"dead letters: {sorted(letters ^ self.bad)[:5]} are there or should be")

    def close(self):
        self.target.close()


class DirectRoute(FileRoute):
    """Lines appended to a file -> a topic -> operators and a sink that reads the topic itself, with a task per partition."""

    name = "direct"
    sinks = 4
    births = [("source-batch", 3), ("sink-open", 4), ("sink-rows", 3)]

    def __init__(self, directory, random):
        Route.__init__(self, directory, random)
        self.last = collections.Counter()
        self.lines = collections.defaultdict(list)  # key -> the rows that it leads to
        self.expected = 0
        self.bad = set()
        self.buried = set()
        self.verified = 0
        self.rows = collections.defaultdict(list)
        open(self.path("input.jsonl"), "w").close()
        self.target = sqlite3.connect(self.path("target.db"), timeout=60, isolation_level=None)
        self.target.execute("PRAGMA journal_mode = WAL")
        self.target.execute(f"CREATE TABLE rows (k TEXT, seq INTEGER, part INTEGER, amount INTEGER CHECK (amount <> {BAD}))")

    def environment(self):
        return {"CRASH_INPUT": self.path("input.jsonl"), "CRASH_TARGET": self.path("target.db")}

    def line(self):
        key = f"k{self.random.randrange(KEYS)}"
        self.last[key] += 1
        seq = self.last[key]
        amount = self.random.choice((REFUSED, BAD)) if self.random.random() < 0.008 else self.random.randrange(100, 1000)
        rows = 0 if seq % 5 == 0 or amount == REFUSED else seq % 3
        if seq % 5 != 0 and (amount == REFUSED or (amount == BAD and rows > 0)):
            self.bad.add((key, seq))
        elif rows > 0:
            self.lines[key].extend((seq, part, amount) for part in range(1, rows + 1))
            self.expected += rows
        return json.dumps({"k": key, "seq": seq, "amount": amount})

    def arrived(self):
        return check_count("rows", self.count(), self.expected)

    def verify(self, program, data):
        for rowid, key, *row in self.target.execute(
                f"SELECT rowid, k, seq, part, amount FROM rows WHERE rowid > {self.verified} ORDER BY rowid"):
            self.rows[key].append(tuple(row))
            self.verified = rowid
        compare("rows", self.rows, self.lines)
        self.verify_dead_letters(program, data)


class TableRoute(Route):
    """Changes of a table -> the same table elsewhere, and a row for each change. Every change of a key carries its
    number, so what happens to a key is a list that is known; where its snapshot begins in it is free."""

    points = Route.points + TELL_POINTS
    first_rows = 6000
    births = [("source-batch", 3), ("source-position", 2), ("source-taken", 4), ("sink-rows", 3), ("c8", 3)]

    def __init__(self, directory, random):
        super().__init__(directory, random)
        self.numbers = collections.Counter()
        self.alive = set()
        self.pending = collections.defaultdict(list)  # key -> changes since the last check
        self.verified = 0
        self.snapshot_done = False

    def environment(self):
        return {"CRASH_SOURCE": self.source_place(), "CRASH_TARGET": self.path("target.db")}

    def source_place(self):
        return self.path("source.db")

    # ---- what goes in ----

    def note(self, key, op):
        self.pending[key].append((op, self.numbers[key]))
        self.sent += 1

    def change(self, key):
        amount = self.random.randrange(1000)
        if key not in self.alive:
            self.alive.add(key)
            self.numbers[key] += 1
            self.note(key, "c")
            return f"INSERT INTO accounts VALUES ({key}, {self.numbers[key]}, {amount})"
        if self.random.random() < 0.1:
            self.alive.discard(key)
            self.note(key, "d")
            return f"DELETE FROM accounts WHERE k = {key}"
        self.numbers[key] += 1
        self.note(key, "u")
        return f"UPDATE accounts SET n = n + 1, amount = {amount} WHERE k = {key}"

    def changes(self, count):
        return [self.change(self.random.randrange(self.random.choice((KEYS, self.first_rows)))) for _ in range(count)]

    def big_change(self, times):
        """All keys that are there, so often, in one transaction."""
        for _ in range(times):
            for key in self.alive:
                self.numbers[key] += 1
                self.note(key, "u")
        return ["UPDATE accounts SET n = n + 1"] * times

    def first_statements(self):
        statements = []
        for key in range(self.first_rows):
            self.alive.add(key)
            self.numbers[key] += 1
            self.note(key, "c")
            statements.append(f"INSERT INTO accounts VALUES ({key}, 1, {key})")
        return statements

    def run(self, statements):
        raise NotImplementedError

    def query(self, side, sql):
        raise NotImplementedError

    def transactions(self):
        return [self.changes(self.random.choice((1, 3, 20))) for _ in range(self.random.choice((1, 4, 10)))]

    def feed(self):
        for statements in self.transactions():
            self.run(statements)

    # ---- what came out ----

    def events(self):
        """What is new since the last check, and the number of the last one."""
        found, last = collections.defaultdict(list), self.verified
        for number, op, key, n in self.query(
                "target", f"SELECT id, op, k, n FROM {{events}} WHERE id > {self.verified} ORDER BY id"):
            found[int(key)].append((op, int(n)))
            last = int(number)
        return found, last

    def follows_snapshot(self, key, found):
        """Whether all has come of a key whose first change is the row as the snapshot has it, or its creation. A key that
        is deleted may have nothing."""
        history = self.pending[key]
        if not found:
            return history[-1][0] == "d"
        first, number = found[0]
        begins = [i for i, (op, n) in enumerate(history) if n == number and op in ("cu" if first == "r" else "c")]
        after = history[begins[0] + 1:] if begins and first in "rc" else None
        if after is None or after[:len(found) - 1] != found[1:]:
            raise Failure("wrong", f"of key {key} there is {found!r:.300}, and its history is {history!r:.300}")
        return len(found) - 1 == len(after)

    def snapshot_arrived(self):
        found, _ = self.events()
        return all([self.follows_snapshot(key, found[key]) for key in self.pending])

    def arrived(self):
        if self.snapshot_done:
            came = check_count("changes", self.count(), self.sent)
        else:
            came = self.snapshot_arrived()
        return came and self.mirror() == self.source()

    def count(self):
        return int(self.query("target", "SELECT count(*) FROM {events}")[0][0])

    def source(self):
        return sorted(tuple(map(int, row)) for row in self.query("source", "SELECT k, n, amount FROM accounts"))

    def mirror(self):
        return sorted(tuple(map(int, row)) for row in self.query("target", "SELECT k, n, amount FROM {mirror}"))

    def verify(self, program, data):
        found, self.verified = self.events()
        if self.snapshot_done:
            compare("changes", found, self.pending)
        elif not all([self.follows_snapshot(key, found[key]) for key in self.pending]):
            raise Failure("lost", "some of the snapshot is not there any more")
        if self.source() != self.mirror():
            raise Failure("wrong", "the mirror is not what the table is")
        self.sent = self.count()
        self.snapshot_done = True
        self.pending.clear()


class SqliteRoute(TableRoute):
    name = "sqlite"

    def __init__(self, directory, random):
        super().__init__(directory, random)
        self.sides = {side: sqlite3.connect(self.path(f"{side}.db"), timeout=60, isolation_level=None)
                      for side in ("source", "target")}
        for side in self.sides.values():
            side.execute("PRAGMA journal_mode = WAL")
        self.sides["source"].execute("CREATE TABLE accounts (k INTEGER PRIMARY KEY, n INTEGER, amount INTEGER)")
        self.sides["target"].execute("CREATE TABLE mirror (k INTEGER PRIMARY KEY, n INTEGER, amount INTEGER)")
        self.sides["target"].execute("CREATE TABLE events (id INTEGER PRIMARY KEY, op TEXT, k INTEGER, n INTEGER)")
        self.run(self.first_statements())

    def run(self, statements):
        source = self.sides["source"]
        source.execute("BEGIN IMMEDIATE")
        for statement in statements:
            source.execute(statement)
        source.execute("COMMIT")

    def query(self, side, sql):
        return self.sides[side].execute(sql.format(events="events", mirror="mirror")).fetchall()

    def close(self):
        for side in self.sides.values():
            side.close()


class PostgresRoute(TableRoute):
    name = "postgres"
    points = TableRoute.points + [("source-batch", 30), ("source-position", 30)]
    births = [("source-slot", 1), *TableRoute.births, ("source-snapshot", 1)]
    reach_seconds = 6

    def __init__(self, directory, random, big):
        super().__init__(directory, random)
        self.big = big  # changes in a large transaction
        self.control = os.path.join(HERE, "..", "support", "postgres.sh")
        self.server = self.path("server")
        if shutil.which("psql") is None:
            raise SkipRoute()
        self.url = self.command("start").strip()
        try:
            self.make_tables()
        except Failure:
            self.close()
            raise

    def make_tables(self):
        self.run(["CREATE TABLE accounts (k int PRIMARY KEY, n int, amount int)",
                  "ALTER TABLE accounts REPLICA IDENTITY FULL", "CREATE SCHEMA copy",
                  "CREATE TABLE copy.mirror (k int PRIMARY KEY, n int, amount int)",
                  "CREATE TABLE copy.events (id bigserial PRIMARY KEY, op text, k int, n int)"])
        self.run(self.first_statements())

    def command(self, name):
        result = subprocess.run([self.control, name, self.server], stdout=subprocess.PIPE, check=False)
        if result.returncode == 77:
            raise SkipRoute()
        if result.returncode != 0:
            raise Failure("stuck", f"postgres.sh {name} ended with {result.returncode}")
        return result.stdout.decode()

    def source_place(self):
        return self.url

    def psql(self, text):
        result = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url], input=text.encode(),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if result.returncode != 0:
            raise Failure("wrong", f"psql: {result.stderr.decode()}")
        return result.stdout.decode()

    def run(self, statements):
        self.psql("BEGIN;\n" + ";\n".join(statements) + ";\nCOMMIT;\n")

    def query(self, side, sql):
        text = self.psql(sql.format(events="copy.events", mirror="copy.mirror") + ";\n")
        return [line.split("|") for line in text.splitlines()]

    def feed(self):
        text = ""
        for statements in self.transactions():
            text += "BEGIN;\n" + ";\n".join(statements) + ";\nCOMMIT;\n"
        if self.random.random() < 0.04:
            text += "BEGIN;\n" + ";\n".join(self.big_change(max(self.big // len(self.alive), 1))) + ";\nCOMMIT;\n"
        self.psql(text)

    def kill_server(self):
        self.command("kill")

    def start_server(self):
        self.command("start")

    def close(self):
        subprocess.run([self.control, "remove", self.server], stdout=subprocess.DEVNULL, check=False)


class SkipRoute(Exception):
    """What the way needs can't be had."""
