"""Processes of one app share the partitions: each has exactly one worker; a process beyond the number of partitions stands
by and takes over; a killed one comes back to its own partitions and its own state."""
import os

from support import Scene, create_topics, produce, unique, wait_for

SCRIPT = """
local tm = require "tidemill"
tm.app("%s"):stream("%s"):group_by_key():count { store = "counts" }:to("%s")
"""
PARTITIONS = 2
ALL = {"0_0", "0_1"}


def shared(*processes):
    """Whether the running processes have every worker exactly once between them."""
    def check():
        sets = [process.workers() for process in processes]
        return None not in sets and sorted(w for s in sets for w in s) == sorted(ALL)
    return check


def main():
    app, source, target = unique("members"), unique("members-in"), unique("members-out")
    create_topics(PARTITIONS, source, target)
    produce(source, ((f"k{i}", "1") for i in range(1000)))
    with Scene(SCRIPT % (app, source, target)) as scene:
        first = scene.start("a", "--threads", "1")
        wait_for("one process has both partitions", lambda: first.workers() == ALL)
        second = scene.start("b", "--threads", "1")
        wait_for("two processes share", lambda: shared(first, second)() and len(first.workers()) == 1)
        third = scene.start("c", "--threads", "1")
        wait_for("the third stands by", lambda: shared(first, second, third)() and third.get("/readyz") is not None)
        busy = [p for p in (first, second, third) if p.workers()]
        idle = [p for p in (first, second, third) if p.workers() == set()]
        assert len(busy) == 2 and len(idle) == 1, "three processes on two partitions: one must be idle"

        taken = busy[0].workers()
        assert busy[0].stop() == 0, "SIGTERM ends with 0"
        wait_for("the idle one takes over", lambda: idle[0].workers() == taken or shared(busy[1], idle[0])())

        victim = idle[0]
        name = {id(first): "a", id(second): "b", id(third): "c"}[id(victim)]
        before = victim.workers()
        victim.kill()
        told = os.path.getsize(victim.log_path)
        back = scene.start(name, "--threads", "1")
        wait_for("the killed one is back with its own partition", lambda: back.workers() == before)
        with open(back.log_path) as log:
            log.seek(told)
            verdicts = [line for line in log if "state judged" in line]
        assert verdicts and all("verdict=rebuild" not in line for line in verdicts), \
            f"the state was rebuilt after kill -9: {verdicts}"
        for process in (busy[1], back):
            assert process.stop() == 0, "SIGTERM ends with 0"
    print("membership: sharing, standby, take-over and return of a killed process")


main()
