#!/usr/bin/env python3
"""The crash campaign on a real Kafka: two to four processes of one app join, leave, are killed with -9 at every
failpoint and at random times, are stopped beyond their session's timeout and continued; connections are stalled, reset
and cut one-way; the broker is killed; state is deleted, damaged and replaced by an older copy; changelogs are trimmed.
An independent client reads the outputs with read_committed all the while, and checks every result.

    on_kafka.py --tidemill PROGRAM --broker DIRECTORY --proxy PORT [--faults N] [--seed S] [--only STEP]

PROGRAM must be built with -DTIDEMILL_FAILPOINTS=ON; DIRECTORY is one that tests/support/kafka.sh started. Exit status 4:
what was found is a kind of failure that a known bug of the broker explains, and there is evidence of that bug.
"""
import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import (Consumer, ConsumerGroupState, IsolationLevel, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, OffsetSpec,
                                   ResourceType)

from campaign import Input, Patience, Process, Tally, Watched, check_failpoints, names_in, report_failure
from fault_proxy import FaultProxy
from verifier import (APP, CHANGELOGS, GROUPED, INPUT, KEYS, PATIENCE, SUMS, Failure, KafkaReader, Verifier,
                      read_owned_stores, verify_kafka)

PARTITIONS = 4
SESSION_MS = 4000
TRANSACTION_MS = 10000
UNREACHABLE = 4    # exit status
REACH_SECONDS = 12  # a failpoint that was not reached by then is not waited for
ROUND = 12         # steps between two times that everything is waited for
STORE_OF = {INPUT: "sums", "crash-groups-repartition": "groups"}  # the topic whose partitions a store's are
LIMITS = {"TIDEMILL_MERGE_BYTES": "20000", "TIDEMILL_PROGRESS_RECORDS": "100"}
SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")

# Where to die: failpoint, within how many hits, and what is done to the state before the start.
POINTS = [
    ("c1", 200, None), ("c2", 300, None), ("c3", 12, None), ("c4", 200, None), ("c5", 12, None), ("c6", 12, None),
    ("c7", 12, None), ("c8", 12, None), ("c9", 24, None), ("c10", 24, None), ("c12", 3, "delete"), ("c14", 1, None),
    ("c15", 2, "damage"), ("restore-save", 3, "delete"), ("wipe", 8, "delete"), ("assigned", 1, None),
    ("opened", 4, None), ("c11", 1, None), ("merge", 2, None), ("merge-rows", 40, None), ("merge-commit", 2, None), ("merged", 1, None),
]
# Where to die with changelog records that are never committed; then the state is lost and read from the changelog.
LOSSES = [("c4", 100), ("c5", 12), ("c6", 12)]
# Orders that fail something first, and kill later or not at all.
CHAINS = [
    ("abort", "c5:~6:error,abort:1:kill"), ("rewind", "c5:~6:error,rewind:1:kill"),
    ("recover", "ended:~6:error,recover:1:kill"), ("compare", "ended:~6:error,compare:1:kill"),
    ("c14, recovering", "ended:~6:error,c14:2:kill"),
]
FAULTS = [
    ("a transaction has to be aborted", "c5:~6:error,c5:~30:error"),
    ("outcome of a commit unknown", "ended:~6:error,ended:~30:error"),
    ("the store's commit fails", "c9:~10:error,c9:~40:error"),
    ("the clock goes back an hour", "clock:~400:shift=-3600000"),
    ("the clock goes on 30 days", "clock:~400:shift=2592000000,clock:~800:shift=0"),
    ("slow commits", "c5:2:sleep=300,c6:4:sleep=300,c8:6:sleep=300,c9:20:sleep=300"),
]
NAMED = {p[0] for p in POINTS + LOSSES} | {"c13", "drain", "marker"} | {n for o in CHAINS + FAULTS for n in names_in(o[1])}
# Failpoints that no step here names, and why.
ELSEWHERE = {
    "log-.*|retention|compaction": "code of the embedded log",
    "(source|sink)-.*": "code of the connectors, which this pipeline has none of",
}
# The kinds of failures that a bug of the broker explains; a gap, a wrong sum or a wrong state is never one of them.
# Records are processed once more after the group has gone back; a store that was just being restored is refused then.
FORGOTTEN = ("duplicated", "reordered", "refused")


class Feeder(threading.Thread):
    """Produces without end, at a few hundred records a second, past the proxy; `pause` waits until all is delivered."""

    def __init__(self, brokers, records):
        super().__init__(daemon=True)
        self.records = records
        self.failed = None
        self.lock = threading.Lock()
        self.producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5,
                                  "partitioner": "murmur2_random", "delivery.timeout.ms": 300000, "log_level": 0})

    def delivered(self, error, _):
        if error is not None:
            self.failed = error

    def feed(self, count):
        with self.lock:
            self.produce(count)

    def produce(self, count):
        for _ in range(count):
            value = self.records.next()
            text = '{"k":"%s","seq":%d,"amount":%d}' % (value["k"], value["seq"], value["amount"])
            self.producer.produce(INPUT, text, value["k"], on_delivery=self.delivered)
        self.producer.poll(0)

    def run(self):
        while True:
            self.feed(5)
            time.sleep(0.02)

    def pause(self):
        self.lock.acquire()
        if self.producer.flush(120) > 0 or self.failed is not None:
            raise Failure("stuck", f"the input can't be produced: {self.failed}")

    def resume(self):
        self.lock.release()


class Slot:
    """One instance of the app: its process, and its state."""

    def __init__(self, name, data):
        self.name = name
        self.state = os.path.join(data, "state", "crash", name)
        self.older = os.path.join(data, "older-" + name)
        self.directory = os.path.join(data, "process-" + name)
        self.log_path = os.path.join(self.directory, "run.log")
        os.mkdir(self.directory)
        self.process = None

    def instance(self):
        """As the group knows it: the process's first stream thread."""
        with open(os.path.join(self.state, "instance")) as file:
            return f"0-{file.read().strip()}"

    def running(self):
        return self.process is not None and self.process.running()

    def workers(self, random_of):
        names = [n for n in os.listdir(self.state) if n.startswith(("sums_", "groups_"))] if os.path.isdir(self.state) else []
        return [os.path.join(self.state, n) for n in random_of.sample(names, min(len(names), 2))]

    def spoil(self, how, random_of):
        """What may happen to the state while the process does not run. The instance id stays, it is not state."""
        if how == "delete":
            for path in [os.path.join(self.state, n) for n in os.listdir(self.state)] if os.path.isdir(self.state) else []:
                if os.path.isdir(path):
                    shutil.rmtree(path)
        elif how == "keep" and os.path.isdir(self.state):
            shutil.rmtree(self.older, ignore_errors=True)
            shutil.copytree(self.state, self.older)
        elif how == "older" and os.path.isdir(self.older):
            shutil.rmtree(self.state, ignore_errors=True)
            shutil.copytree(self.older, self.state)
        elif how in ("damage", "truncate", "lose"):
            for worker in self.workers(random_of):
                self.spoil_file(os.path.join(worker, random_of.choice(("rows.db", "deltas.db"))), how, random_of)

    @staticmethod
    def spoil_file(path, how, random_of):
        for suffix in ("-wal", "-shm"):  # else SQLite would read the pages there
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        if not os.path.exists(path):
            return
        if how == "lose":
            os.unlink(path)
            return
        with open(path, "r+b") as file:
            if how == "truncate":
                file.truncate(random_of.randrange(os.path.getsize(path) + 1))
            else:
                file.write(random_of.randbytes(100))


class Campaign:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.directory = tempfile.mkdtemp(prefix="tidemill-crash-kafka-")
        with open(os.path.join(options.broker, "bootstrap")) as file:
            self.brokers = file.read().strip()
        with open(os.path.join(options.broker, "proxied")) as file:
            self.proxy = FaultProxy(options.proxy, file.read().strip())
        self.proxied = f"127.0.0.1:{options.proxy}"
        self.tally = Tally("Kafka")
        self.patience = Patience()
        self.records = Input(options.seed)
        self.watched = Watched(Verifier())
        self.slots = [Slot(name, self.directory) for name in "abcd"]
        self.population = 2
        self.doing = "at the start"
        self.step = None
        self.reach_seconds = REACH_SECONDS
        self.feeder = None
        self.reader = None
        self.gone_back = []  # committed offsets, over a restart of the broker
        self.ended = False

    # ---- processes ----

    def start(self, slot, fault=None, before=None, through_proxy=None, *more):
        through = self.random.random() < 0.5 if through_proxy is None else through_proxy
        slot.process = Process(self.options.tidemill, slot.directory, fault, self.random.randrange(1 << 30), "--brokers",
                               self.proxied if through else self.brokers, "--data", self.directory, "--http", "127.0.0.1:0",
                               "--instance", slot.name, "--threads", "1", "--set", f"kafka.session.timeout.ms={SESSION_MS}",
                               "--set", f"transaction_timeout_ms={TRANSACTION_MS}",
                               "--set", "kafka.reconnect.backoff.max.ms=500", "--connect-timeout", "3m", *more, limits=LIMITS, before=before)
        return slot.process

    def populate(self):
        """As many processes as there shall be now, none of them with a fault to come."""
        for slot in self.slots[:self.population]:
            if not slot.running():
                self.start(slot)
        for slot in self.slots[self.population:]:
            if slot.running():
                slot.process.terminate()

    def stop(self, slot):
        """Without warning, mostly."""
        if slot.running():
            if self.random.random() < 0.3:
                slot.process.terminate()
            else:
                slot.process.kill()
                self.tally.kills["any time"] += 1

    def check_processes(self):
        """Whatever happens, a process goes on, or dies by us."""
        for slot in self.slots:
            if slot.process and not slot.process.running() and not slot.process.killed() \
                    and slot.process.process.returncode not in (0, -signal.SIGTERM):
                raise slot.process.failure(f"process {slot.name}")

    def pick(self):
        return self.random.choice(self.slots[:self.population])

    def wait_for_death(self, slot, name):
        if slot.process.wait(self.reach_seconds):
            if not slot.process.killed():
                raise slot.process.failure(f"process {slot.name}")
            self.tally.kills[name] += 1
        else:
            slot.process.kill()
            self.tally.miss(name, self.step)

    # ---- steps ----

    def kill_at_point(self, name, hits, spoil):
        slot = self.pick()
        self.stop(slot)
        slot.spoil(spoil, self.random)
        self.start(slot, f"{name}:~{hits}:kill")
        self.wait_for_death(slot, name if spoil is None else f"{name}, state: {spoil}")

    def kill_and_lose(self, name, hits):
        slot = self.pick()
        self.stop(slot)
        self.start(slot, f"{name}:~{hits}:kill")
        self.wait_for_death(slot, f"{name}, then the state is lost")
        slot.spoil("delete", self.random)
        self.start(slot)
        time.sleep(1)

    def kill_at_chain(self, name, orders):
        slot = self.pick()
        self.stop(slot)
        self.start(slot, orders)
        self.wait_for_death(slot, name)

    def kill_at_revocation(self):
        """Another process joins, which revokes everybody's partitions."""
        slot, other = self.random.sample(self.slots[:self.population], 2)
        self.stop(slot)
        self.stop(other)
        self.start(slot, "c13:1:kill")
        time.sleep(1.5)
        self.start(other)
        self.wait_for_death(slot, "c13")

    def kill_when_it_ends(self):
        slot = self.pick()
        self.stop(slot)
        self.start(slot, "drain:1:kill")
        time.sleep(2)
        slot.process.signal(signal.SIGTERM)
        self.wait_for_death(slot, "drain")

    def kill_any_time(self):
        slot = self.pick()
        if slot.running():
            time.sleep(self.random.random())
            slot.process.kill()
            self.tally.kills["any time"] += 1
        slot.spoil(self.random.choice((None, None, "delete", "damage", "truncate", "lose", "older")), self.random)

    def inject(self, name, orders):
        slot = self.pick()
        self.stop(slot)
        self.start(slot, orders)
        time.sleep(2 + self.random.random())
        self.tally.faults[name] += 1

    def make_zombie(self):
        """Stopped beyond the session's timeout, in the middle of a transaction or anywhere, and continued."""
        slot = self.pick()
        if self.random.random() < 0.7:
            self.stop(slot)
            self.start(slot, self.random.choice(("c4:~60:stop", "c5:~8:stop", "c6:~8:stop", "c8:~8:stop")))
            time.sleep(2)
        slot.process.signal(signal.SIGSTOP)
        time.sleep(SESSION_MS / 1000 + 2)
        slot.process.signal(signal.SIGCONT)
        self.tally.faults["stopped beyond the session's timeout"] += 1
        time.sleep(1)

    def change_population(self):
        self.population = self.random.choice([n for n in (2, 3, 4) if n != self.population])
        self.populate()
        self.tally.faults["processes join or leave"] += 1
        time.sleep(1)

    def spoil_connections(self, name, begin, end):
        for slot in self.slots[:2]:  # enough behind the proxy that it matters
            if not slot.running():
                self.start(slot, through_proxy=True)
        begin()
        time.sleep(0.2 + 3 * self.random.random())
        end()
        self.tally.faults[name] += 1
        time.sleep(0.5)

    def hold_ends(self):
        """EndTxn is handed on after the client has asked again: it must not decide a later transaction."""
        slot = self.pick()
        self.stop(slot)
        self.start(slot, None, None, True, "--set", "kafka.producer.socket.timeout.ms=1500")
        time.sleep(1.5)
        before = self.proxy.held_ends
        self.proxy.hold_ends(2.5)
        time.sleep(5)
        self.proxy.hold_ends(0)
        self.tally.faults["EndTxn arrives late, after the next one" if self.proxy.held_ends > before
                          else "EndTxn arrives late: none was sent"] += 1
        time.sleep(3)

    def refuse_first(self):
        """P13, in the middle of it: the next Produce of each topic is refused while another is under way."""
        for _ in range(3):
            self.proxy.refuse_first([SUMS, GROUPED, *CHANGELOGS.values(), "crash-groups-repartition"])
            time.sleep(0.4)
            self.proxy.refuse_first([])
        self.tally.faults["a Produce request is refused"] += 1

    def restore_behind_open_transaction(self):
        """P7: the last stable offset of the changelogs lags behind what was committed, while a worker restores."""
        self.settle()
        other = Producer({"bootstrap.servers": self.brokers, "transactional.id": f"foreign-{self.random.random()}",
                          "transaction.timeout.ms": 60000})
        other.init_transactions(60)
        other.begin_transaction()
        for topic in CHANGELOGS.values():
            for partition in range(PARTITIONS):
                other.produce(topic, b"{}", b"never", partition)
        other.flush(60)
        before = self.watched.verifier.checked
        deadline = time.monotonic() + 30
        while self.watched.verifier.checked < before + 200 and time.monotonic() < deadline:
            time.sleep(0.1)  # these are committed behind the open transaction
        slot = self.pick()
        slot.process.kill()
        self.tally.kills["any time"] += 1
        slot.spoil("delete", self.random)
        self.start(slot)
        time.sleep(4)
        other.abort_transaction(60)
        self.tally.faults["restored behind an open transaction"] += 1

    def trim_changelogs(self):
        """As compaction would: only what has a newer value. A state that is older than that must be rebuilt."""
        slot = self.pick()
        slot.process.terminate() if slot.running() else None
        slot.spoil("keep", self.random)
        self.settle()
        places = [TopicPartition(t, p) for t in CHANGELOGS.values() for p in range(PARTITIONS)]
        reader = KafkaReader(self.brokers, *CHANGELOGS.values())
        ends = reader.high_watermarks()
        reader.close()
        sent = list(self.records.sent)
        while any(now == before for now, before in zip(self.records.sent, sent)):
            self.feeder.feed(KEYS)
        self.settle()
        slot.process.kill()
        self.tally.kills["any time"] += 1
        for place in places:
            place.offset = ends[place.topic, place.partition]
        self.delete_records(places)
        slot.spoil("older", self.random)
        self.tally.faults["changelogs trimmed, state older"] += 1

    def delete_records(self, places):
        """The broker refuses it for a topic that is compacted and nothing else."""
        admin = AdminClient({"bootstrap.servers": self.brokers})

        def set_policy(policy):
            entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
            topics = [ConfigResource(ResourceType.TOPIC, t, incremental_configs=[entry]) for t in CHANGELOGS.values()]
            for future in admin.incremental_alter_configs(topics).values():
                future.result(60)

        set_policy("compact,delete")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                for future in admin.delete_records(places).values():
                    future.result(60)
                break
            except KafkaException as refused:  # the new policy has not come to the broker yet
                if refused.args[0].code() != KafkaError.POLICY_VIOLATION or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        set_policy("compact")

    def fill_disk(self):
        slot = self.pick()
        self.stop(slot)
        sizes = [os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(slot.state) for f in files]
        limit = self.random.randrange(16384, max(sizes + [32768]))

        def before():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        self.start(slot, before=before)
        slot.process.wait(3)
        if slot.running():
            resource.prlimit(slot.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.tally.faults["disk full for a while"] += 1
        else:
            self.tally.faults["disk full: ended with a status"] += 1
            slot.process = None

    def kill_broker(self):
        """Back sooner than transactions time out: a broker that comes later may leave one hanging."""
        kafka = os.path.join(SUPPORT, "kafka.sh")
        before = self.committed_offsets()
        subprocess.run([kafka, "kill", self.options.broker], check=True)
        subprocess.run([kafka, "start", self.options.broker], check=True, stdout=subprocess.DEVNULL)
        after = self.committed_offsets()
        self.gone_back += [f"{topic} [{partition}] from {offset} to {after.get((topic, partition), -1)}"
                           for (topic, partition), offset in before.items() if after.get((topic, partition), -1) < offset]
        self.tally.faults["broker killed and restarted"] += 1
        for slot in self.slots:  # one that was just starting may give up when no broker answers for long
            if slot.process and slot.process.process.poll() == UNREACHABLE:
                self.tally.faults["ended: no broker at its start"] += 1
                slot.process = None

    def steps(self):
        points = [(f"killed at {p[0]}", lambda p=p: self.kill_at_point(*p)) for p in POINTS]
        losses = [(f"killed at {p[0]}, state lost", lambda p=p: self.kill_and_lose(*p)) for p in LOSSES]
        chains = [(f"killed at {c[0]}", lambda c=c: self.kill_at_chain(*c)) for c in CHAINS]
        faults = [(f[0], lambda f=f: self.inject(*f)) for f in FAULTS]
        proxy = self.proxy
        connections = [
            ("connections stalled", lambda: proxy.stall(True), lambda: proxy.stall(False)),
            ("connections reset", proxy.reset_all, proxy.reset_all),
            ("connections cut to the broker", lambda: proxy.cut_one_way("up"), lambda: proxy.cut_one_way(None)),
            ("connections cut from the broker", lambda: proxy.cut_one_way("down"), lambda: proxy.cut_one_way(None)),
        ]
        others = [(c[0], lambda c=c: self.spoil_connections(*c)) for c in connections] + [
            ("killed at c13", self.kill_at_revocation), ("killed at drain", self.kill_when_it_ends),
            ("killed at any time", self.kill_any_time),
            ("killed at any time", self.kill_any_time), ("killed at any time", self.kill_any_time),
            ("zombie", self.make_zombie), ("zombie", self.make_zombie), ("population", self.change_population),
            ("population", self.change_population), ("EndTxn late", self.hold_ends), ("refused", self.refuse_first),
            ("open transaction", self.restore_behind_open_transaction), ("trimmed", self.trim_changelogs),
            ("disk full", self.fill_disk), ("broker killed", self.kill_broker),
        ]
        return [s for s in points + losses + chains + faults + others if self.options.only in s[0]]

    # ---- all of it ----

    def open(self):
        admin = AdminClient({"bootstrap.servers": self.brokers})
        names = [INPUT, SUMS, GROUPED, "crash-short"]
        for future in admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in names]).values():
            future.result(60)
        self.proxy.refuse_first([SUMS, GROUPED, *CHANGELOGS.values(), "crash-groups-repartition"])
        self.tally.faults["first Produce of a fresh topic refused"] += 1
        self.start(self.slots[0], "marker:~8:kill", through_proxy=True)
        self.wait_for_death(self.slots[0], "marker, first start")
        self.start(self.slots[0], through_proxy=True)
        self.feeder = Feeder(self.brokers, self.records)
        self.feeder.start()
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        self.reader = KafkaReader(self.brokers, SUMS, GROUPED)
        try:
            while not self.ended and self.watched.failure is None:
                self.reader.feed(self.watched, 0.1)
        except Failure as failure:
            self.watched.failure = failure
        self.reader.close()

    def check_silence(self):
        """Nothing is lost before the reader has come to the high watermarks: it waits at an open transaction, if it does
        not within a time that ends each of ours."""
        ends = self.reader.high_watermarks()
        deadline = time.monotonic() + 3 * TRANSACTION_MS / 1000
        while not self.reader.at_ends(ends):
            if time.monotonic() > deadline:
                raise Failure("hanging", "the outputs are not read to their high watermarks: "
                                         f"{self.open_transactions() or 'no transaction is open'}")
            time.sleep(0.5)
        time.sleep(1)  # what was read last is being checked

    def come_to_rest(self):
        """Without a fault everything that was sent must come out."""
        for slot in self.slots:  # a failpoint that was not reached may still be to come
            if slot.running() and slot.process.fault:
                slot.process.kill()
                self.tally.kills["any time"] += 1
        self.check_processes()
        self.populate()
        self.feeder.pause()
        self.watched.wait_for(self.records.total(), [s.process for s in self.slots[:self.population]], self.check_silence)

    def settle(self):
        self.come_to_rest()
        self.feeder.resume()

    def try_again(self, name, step):
        """A failpoint that was not reached gets more time, and no other fault beside it."""
        self.doing = f"once more: killed at {name}"
        self.settle()
        self.reach_seconds = 3 * REACH_SECONDS
        step()

    # ---- the end: state ----

    def owners(self):
        """(store, partition) -> its directory at the process that the group has given it. What else is in the state of that
        process may be damaged: it is looked at when a partition is given."""
        admin = AdminClient({"bootstrap.servers": self.brokers})
        deadline = time.monotonic() + PATIENCE
        while True:
            group = admin.describe_consumer_groups([APP])[APP].result(60)
            slots = {slot.instance(): slot.state for slot in self.slots if slot.running()}
            owners = {(STORE_OF[place.topic], place.partition): slots.get(member.group_instance_id)
                      for member in group.members for place in member.assignment.topic_partitions}
            if group.state == ConsumerGroupState.STABLE and len(owners) == len(STORE_OF) * PARTITIONS \
                    and None not in owners.values():
                return {(store, partition): os.path.join(state, f"{store}_{partition}")
                        for (store, partition), state in owners.items()}
            if time.monotonic() > deadline:
                raise Failure("stuck", f"the group has not given every partition to a process that runs: {owners}")
            time.sleep(0.2)

    def wait_for_workers(self):
        """Results may all be there while a process has yet to join, or a worker to restore what a member before has done:
        its files are not yet to be looked at."""
        deadline = time.monotonic() + PATIENCE
        while True:
            each = [[worker["state"] for worker in slot.process.workers()] for slot in self.slots if slot.running()]
            states = [state for of_one in each for state in of_one]
            if all(each) and states.count("running") == len(states) == len(STORE_OF) * PARTITIONS:
                return
            if time.monotonic() > deadline:
                raise Failure("stuck", f"not every process has workers that run: {each}")
            self.check_processes()
            time.sleep(0.2)

    def leave(self, state):
        for slot in self.slots:
            if slot.running():
                slot.process.terminate()
            slot.spoil(state, self.random)

    def end(self):
        """All processes leave; the state, once kept and once deleted and rebuilt, must lead to the same next results, and
        what is in its files then is the fold of the input."""
        self.come_to_rest()
        for state in (None, "delete"):
            self.doing = f"the end, state: {state or 'kept'}"
            self.leave(state)
            self.population = 2
            self.feeder.resume()
            self.feeder.feed(3 * KEYS)
            self.come_to_rest()
            self.wait_for_workers()
            owners = self.owners()
            self.leave(None)
            stores = read_owned_stores(self.options.tidemill, owners)
            self.watched.verifier.check_folds("store", stores)
        self.ended = True
        verify_kafka(self.brokers, stores)

    def run(self, faults):
        self.open()
        steps = self.steps()
        number = 0
        while self.tally.count() < faults and not self.patience.over:
            if number % len(steps) == 0:
                self.random.shuffle(steps)
            self.doing, self.step = steps[number % len(steps)]
            print(f"{time.strftime('%H:%M:%S')} {number} {self.doing}", flush=True)
            self.populate()
            self.step()
            self.watched.check()
            self.check_processes()
            number += 1
            if number % ROUND == 0:
                self.doing += ", and everything after it"
                self.settle()
        self.tally.try_again(self.try_again)
        self.end()

    # ---- what the broker has done ----

    def committed_offsets(self):
        """Topic and partition -> offset, as soon as the group's coordinator answers; the one who asks is no member."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": APP, "log_level": 0})
        places = [TopicPartition(topic, partition) for topic in STORE_OF for partition in range(PARTITIONS)]
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                committed = consumer.committed(places, timeout=30)
                break
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        consumer.close()
        return {(place.topic, place.partition): place.offset for place in committed}

    def open_transactions(self):
        """Where a reader with read_committed waits: place and offset, and the end behind it."""
        admin = AdminClient({"bootstrap.servers": self.brokers})
        places = [TopicPartition(name, number) for name, topic in admin.list_topics(timeout=30).topics.items()
                  for number in topic.partitions]
        ends = {}
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED):
            asked = admin.list_offsets({place: OffsetSpec.latest() for place in places}, isolation_level=level)
            ends[level] = {place: future.result(30).offset for place, future in asked.items()}
        both = ((place, *(ends[level][place] for level in ends)) for place in places)
        return {f"{place.topic} [{place.partition}] from {stable}": high for place, stable, high in both if stable < high}

    def broker_has_left_one_open(self):
        """Long after every transaction has timed out, somebody's is still not ended, which only the broker can do; it
        does, unless it was killed."""
        if not self.tally.faults["broker killed and restarted"]:
            return False
        before = self.open_transactions()
        for place, end in before.items():
            print(f"open transaction: {place}, end {end}", file=sys.stderr)
        time.sleep(3 * TRANSACTION_MS / 1000)
        return any(place in before for place in self.open_transactions())

    def broker_has_forgotten(self):
        """Kafka 4.3.0, killed and back on a busy machine, now and then starts its group coordinator without having read
        the whole log: the group then stands at offsets of the broker's start before. Its log says so of the partition
        that holds this group, or the group stood lower after a restart than before it."""
        if not self.tally.faults["broker killed and restarted"]:
            return False
        for place in self.gone_back:
            print(f"over a restart of the broker the group has gone back: {place}", file=sys.stderr)
        with open(os.path.join(self.options.broker, "broker.log"), errors="replace") as log:
            text = f"__consumer_offsets-{self.group_partition()} is out of sync with the underlying log"
            return bool(self.gone_back) or any(text in line for line in log)

    def group_partition(self):
        """Of __consumer_offsets: Java's hash of the group's name."""
        number = 0
        for character in APP:
            number = (number * 31 + ord(character)) & 0xffffffff
        number = number - (1 << 32) if number >= 1 << 31 else number
        topic = AdminClient({"bootstrap.servers": self.brokers}).list_topics("__consumer_offsets", 30)
        return abs(number) % len(topic.topics["__consumer_offsets"].partitions)

    def what_the_broker_lost(self, failure):
        """What explains this failure, None: nothing does, it is ours."""
        if failure.kind in FORGOTTEN and self.broker_has_forgotten():
            return "committed offsets"
        if failure.kind == "hanging" and self.broker_has_left_one_open():
            return "the end of a transaction"
        return None

    def close(self, keep):
        self.ended = True
        for slot in self.slots:
            if slot.running():
                slot.process.kill()
        if keep:
            print(f"the directory is kept: {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description="Kills the program on a real Kafka, and checks every result.")
    parser.add_argument("--tidemill", required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--proxy", required=True, type=int)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only steps whose name has this text")
    options = parser.parse_args()
    campaign = Campaign(options)
    status = 1
    try:
        check_failpoints(options.tidemill, NAMED, ELSEWHERE)
        campaign.run(options.faults)
        campaign.tally.print(options.seed, campaign.records.total(), campaign.watched.verifier.checked)
        status = 0
    except Failure as failure:
        report_failure(failure, options.seed, campaign.doing, [slot.log_path for slot in campaign.slots],
                       f"tests/crash/run.sh kafka, with SEED={options.seed}")
        lost = campaign.what_the_broker_lost(failure)
        if lost:
            campaign.tally.print_broken_off(options.seed, failure, f"the broker has lost {lost}")
            print(f"THE BROKER HAS LOST {lost}, after {campaign.tally.count()} kills and faults: {failure}", file=sys.stderr)
            status = 4
    finally:
        campaign.close(status == 1)
    os._exit(status)  # threads that still wait for brokers are not waited for


if __name__ == "__main__":
    main()
