#!/usr/bin/env python3
"""A process that refuses the partitions it is given leaves its group before it ends: nobody waits for its session. The
sessions here are longer than a test waits."""
from confluent_kafka.admin import AdminClient

from support import BROKERS, PATIENCE, Scene, create_topics, produce, unique, wait_for

SCRIPT = """
local tm = require "tidemill"
local app = tm.app("%s")
app:stream("%s"%s):group_by_key():count { store = "counts" }:to("%s")
"""
PARTITIONS = 4
REFUSED = 3
ADMIN = AdminClient({"bootstrap.servers": BROKERS})


def has_no_members(group):
    return not ADMIN.describe_consumer_groups([group])[group].result(PATIENCE).members


def run(scene, threads):
    process = scene.start("a", "--until-end", "--threads", str(threads), "--set", "kafka.session.timeout.ms=300000")
    return process, process.process.wait(PATIENCE)


def check_refusal(threads, reason, change, options=""):
    """The second start, after `change`, must be refused for `reason`; without `change` it is the first one."""
    app, source, target = unique("refused"), unique("refused-in"), unique("refused-out")
    create_topics(PARTITIONS, source, target)
    produce(source, ((f"k{i}", "1") for i in range(100)))
    with Scene(SCRIPT % (app, source, options, target)) as scene:
        if change:
            process, code = run(scene, threads)
            assert code == 0, f"the first run ended with {code}"
            wait_for("the first run has left its group", lambda: has_no_members(app))
            change(app, source)
        process, code = run(scene, threads)
        with open(process.log_path) as log:
            told = log.read()
        assert code == REFUSED and reason in told, f"{code} instead of {REFUSED}: {reason}"
        assert "or reset the app" in told, "the advice is another one than the message's"
        wait_for(f"the group is empty ({reason})", lambda: has_no_members(app))


def forget_offsets(app, _):
    for future in ADMIN.delete_consumer_groups([app]).values():
        future.result(PATIENCE)


def delete_changelog(app, _):
    for future in ADMIN.delete_topics([f"{app}-counts-changelog"]).values():
        future.result(PATIENCE)


def main():
    for threads in (1, 2):
        check_refusal(threads, "any more, but worker", forget_offsets)
        check_refusal(threads, "its reset option is", None, options=', { reset = "error" }')
        check_refusal(threads, "-counts-changelog was deleted", delete_changelog)
    print("refused assignments: every group was left")


main()
