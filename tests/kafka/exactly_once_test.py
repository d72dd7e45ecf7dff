"""Two processes of one app on a million records, one of them killed with -9 in the middle and started again: the output,
read with read_committed by an independent client, has every record's effect exactly once and in order per key."""
import json
import os
import sys

from support import PATIENCE, Reader, Scene, create_topics, produce, unique, wait_for

RECORDS = int(os.environ.get("RECORDS", "1000000"))
KEYS = 5000
PARTITIONS = 6

SCRIPT = """
local tm = require "tidemill"
local app = tm.app "%s"
app:stream("%s")
  :group_by_key()
  :aggregate { store = "sums",
    init = function() return { n = 0, sum = 0, last = 0 } end,
    add = function(key, v, agg)
      agg.n = agg.n + 1; agg.sum = agg.sum + v.amount; agg.last = v.seq
      return agg
    end }
  :to("%s")
"""


def amount(number):
    return number * 37 % 101


class Verifier:
    """Checks every intermediate value per key: no gap, no duplicate, no swap, no wrong sum."""

    def __init__(self):
        self.counts = [0] * KEYS
        self.sums = [0] * KEYS
        self.total = 0

    def take(self, messages):
        for message in messages:
            key = int(message.key()[1:])
            value = json.loads(message.value())
            n = self.counts[key] + 1
            total = self.sums[key] + amount((n - 1) * KEYS + key)
            expected = {"n": n, "sum": total, "last": n}
            assert value == expected, f"key {key}: expected {expected}, found {value} ({message.topic()} " \
                                      f"{message.partition()} {message.offset()})"
            self.counts[key], self.sums[key] = n, total
            self.total += 1


def main():
    app, source, target = unique("eos"), unique("eos-in"), unique("eos-out")
    create_topics(PARTITIONS, source, target)
    produce(source, ((f"k{i % KEYS}", json.dumps({"seq": i // KEYS + 1, "amount": amount(i)})) for i in range(RECORDS)))
    verifier = Verifier()
    reader = Reader(target, PARTITIONS)
    with Scene(SCRIPT % (app, source, target)) as scene:
        scene.start("a", "--threads", "1")
        victim = scene.start("b", "--threads", "1")
        kills = 0

        def step():
            nonlocal victim, kills
            verifier.take(reader.take())
            if kills < 3 and verifier.total > RECORDS * (kills + 1) // 5:
                assert verifier.total < RECORDS, "nothing was left to do at the kill"
                victim.kill()
                kills += 1
                victim = scene.start("b", "--threads", "1")
            return verifier.total >= RECORDS

        wait_for(f"{RECORDS} results", step)
        for _ in range(5):
            verifier.take(reader.take())
        assert verifier.total == RECORDS, f"{verifier.total} results instead of {RECORDS}"
        assert kills == 3, f"{kills} kills instead of 3"
        codes = [process.stop() for process in scene.processes if process.running()]
        assert codes == [0, 0], f"exit codes after SIGTERM: {codes}"
    reader.close()
    print(f"exactly once: {RECORDS} records, {kills} kills, every result once and in order")


main()
