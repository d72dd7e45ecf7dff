"""Static membership: a rolling restart with --stay moves no partition, a copied state directory is told apart, the partitions
of a member that never comes back go to the others once its session has ended, and a dynamic member leaves no place behind."""
import os
import shutil
import time

from support import Process, Scene, create_topics, produce, unique, wait_for

SCRIPT = """
local tm = require "tidemill"
tm.app("%s", { %s }):stream("%s"):group_by_key():count { store = "counts" }:to("%s")
"""
PARTITIONS = 2
ALL = {"0_0", "0_1"}
LONG = ("--threads", "1", "--set", "kafka.session.timeout.ms=300000")  # nobody is given up in these scenes
SHORT = ("--threads", "1", "--set", "kafka.session.timeout.ms=6000")


def scene_of(settings=""):
    app, source, target = unique("static"), unique("static-in"), unique("static-out")
    create_topics(PARTITIONS, source, target)
    produce(source, ((f"k{i}", "1") for i in range(1000)))
    return Scene(SCRIPT % (app, settings, source, target))


def shared(*processes):
    def check():
        sets = [process.workers() for process in processes]
        return None not in sets and all(sets) and sorted(w for s in sets for w in s) == sorted(ALL)
    return check


def lines(process, text):
    with open(process.log_path) as log:
        return [line for line in log if text in line]


def test_rolling_restart():
    with scene_of() as scene:
        processes = {name: scene.start(name, "--stay", *LONG) for name in ("a", "b")}
        wait_for("two processes share", shared(*processes.values()))
        for name, other in (("a", "b"), ("b", "a")):
            before = processes[name].workers()
            rounds = len(lines(processes[other], "partitions assigned"))
            rebuilt = len(lines(processes[name], "verdict=rebuild"))
            assert processes[name].stop() == 0, "SIGTERM ends with 0"
            processes[name] = scene.start(name, "--stay", *LONG)
            wait_for("it has its own partitions again", lambda: processes[name].workers() == before)
            assert len(lines(processes[other], "partitions assigned")) == rounds, "the other one was disturbed"
            assert len(lines(processes[name], "verdict=rebuild")) == rebuilt, "the state was rebuilt"


def test_copied_directory():
    with scene_of() as scene:
        first = scene.start("a", *LONG)
        wait_for("it runs", lambda: first.workers() == ALL)
        copy = os.path.join(scene.directory, "copy")
        shutil.copytree(os.path.join(scene.directory, "state"), os.path.join(copy, "state"))
        second = Process(scene.script, copy, "a", *LONG)
        scene.processes.append(second)
        fenced = wait_for("one of the two ends", lambda: next((p for p in (first, second) if not p.running()), None))
        kept = second if fenced is first else first
        assert fenced.process.returncode != 0, "a fenced process ends as if nothing had been"
        assert lines(fenced, "instance"), "the message does not name the instance"
        wait_for("the other one has all partitions", lambda: kept.workers() == ALL)


def test_member_that_never_comes_back():
    with scene_of() as scene:
        first, second = (scene.start(name, *SHORT) for name in ("a", "b"))
        wait_for("two processes share", shared(first, second))
        first.kill()
        wait_for("the other one takes over", lambda: second.workers() == ALL)


def test_dynamic_member():
    with scene_of('member = "dynamic"') as scene:
        first, second = (scene.start(name, *SHORT) for name in ("a", "b"))
        wait_for("two processes share", shared(first, second))
        assert first.stop() == 0, "SIGTERM ends with 0"
        wait_for("the other one takes over", lambda: second.workers() == ALL)


def main():
    for test in (test_rolling_restart, test_copied_directory, test_member_that_never_comes_back, test_dynamic_member):
        begin = time.monotonic()
        test()
        print(f"{test.__name__}: {time.monotonic() - begin:.1f} s")


main()
