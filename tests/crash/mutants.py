#!/usr/bin/env python3
"""Built-in bugs, each put into a copy of the sources on its own: the tests must catch every one.

    mutants.py [--fast | --check | NAME_PART...]

--fast: those that a unit test catches within seconds, for each run of the tests; --check: only whether each text is there
once. JOBS: compilers at once; TIDEMILL_MUTANTS: a directory that is kept between runs.

A mutant is a replacement in one file, and the tests that are to notice it, in the order in which they are tried. A
mutant whose text is no longer there is an error, so that the list follows the sources. A test that fails or hangs has
caught its mutant; before the mutants all tests are run on the sources as they are, and must pass.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TIMEOUT = 300

# Tests by name: programs of the build, with arguments.
UNIT = {
    name: [f"tests/{name}"] for name in (
        "engine_test_commit", "engine_test_restore", "engine_test_restore_verdict", "engine_test_stream_thread",
        "engine_test_worker", "engine_test_timers", "store_test_set", "store_test_append", "store_test_quarantine", "store_test_table",
        "store_test_store_model", "engine_test_slot", "engine_test_worker_source", "engine_test_worker_sink", "engine_test_sink_task", "connectors_test_sqlite_sink",
        "local_test_local_session", "local_test_local_commit", "kafka_test_kafka_mock")
}
SIMULATION = {"simulation": ["tests/crash_simulation", "800", "1"],
              "protocol": ["tests/protocol_simulation", "4000", "1"]}
# The campaigns: (part of run.sh, environment).
CAMPAIGNS = {
    "embedded": ("embedded", {"KILLS": "60", "SEED": "1"}),
    "connectors": ("connectors", {"CONNECTOR_KILLS": "60", "SEED": "1"}),
    "kafka: kills": ("kafka", {"FAULTS": "8", "SEED": "1", "ONLY": "killed at c"}),
    "kafka: zombies": ("kafka", {"FAULTS": "12", "SEED": "1", "ONLY": "zombie"}),
    "kafka: open transaction": ("kafka", {"FAULTS": "3", "SEED": "1", "ONLY": "open transaction"}),
    "kafka: state lost": ("kafka", {"FAULTS": "10", "SEED": "1", "ONLY": "state lost"}),
}

# The tests on a real Kafka: part of the name of one.
KAFKA_TESTS = {"kafka tests: transport": "transport"}

# name, file, text, replacement, tests
MUTANTS = [
    ("skip send_offsets", "runtime/kafka/kafka_producer.c",
     "    if (count > 0 && send_offsets(session, positions, count, err) != 0) {",
     "    if (count > 1000000 && send_offsets(session, positions, count, err) != 0) {",
     ["kafka: kills"]),
    ("a member without a generation (P4)", "runtime/kafka/kafka_group.c",
     "    if (session->subscription_count == 0) {\n        return rd_kafka_consumer_group_metadata_new",
     "    if (session->subscription_count < 1000) {\n        return rd_kafka_consumer_group_metadata_new",
     ["kafka: zombies"]),
    ("a delivery without an offset counts (P13)", "runtime/kafka/kafka_output.c",
     "if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset >= 0) {",
     "if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {",
     ["kafka tests: transport"]),
    ("restore to the last stable offset (P7)", "runtime/kafka/kafka_class.c",
     "{.role = KAFKA_ADMIN, .uncommitted = true}", "{.role = KAFKA_ADMIN, .uncommitted = false}",
     ["kafka: open transaction"]),
    ("restore what was aborted", "runtime/engine/restore_replay.c",
     "    struct reader_config config = {positions, count, false};",
     "    struct reader_config config = {positions, count, true};",
     ["engine_test_restore", "kafka: state lost"]),
    ("the store commits before the transaction", "runtime/engine/commit.c",
     "static enum err_class transaction(struct round *round)\n{\n    struct commit *commit = round->commit;\n"
     "    collect_positions(round);\n",
     "static enum err_class commit_stores(struct round *round);\n\n"
     "static enum err_class transaction(struct round *round)\n{\n    struct commit *commit = round->commit;\n"
     "    collect_positions(round);\n    commit_stores(round);\n",
     ["protocol", "engine_test_commit", "simulation"]),
    ("no seek after an abort", "runtime/engine/worker_commit.c",
     "        if (worker_seek_back(worker, input, err)) {", "        if (input->topic == NULL && worker_seek_back(worker, input, err)) {",
     ["protocol", "engine_test_worker"]),
    ("an unknown outcome counts as committed", "runtime/engine/commit.c",
     "        outcome = done ? ERR_NONE : standing", "        outcome = done || commit->count > 0 ? ERR_NONE : standing",
     ["protocol", "engine_test_commit"]),
    ("an unknown outcome counts as aborted", "runtime/engine/commit.c",
     "        outcome = done ? ERR_NONE : standing", "        outcome = done && commit->count == 0 ? ERR_NONE : true ? ERR_ABORT : standing",
     ["protocol", "engine_test_commit"]),
    ("a store that could not commit goes on", "runtime/engine/commit.c",
     "    return broken ? ERR_FATAL : ERR_NONE;", "    return broken && round->count == 0 ? ERR_FATAL : ERR_NONE;",
     ["protocol", "engine_test_commit", "simulation"]),
    ("replay from the changelog's end", "runtime/engine/restore.c",
     "replay->from.offset == OFFSET_NONE ? replay->low : replay->from.offset;",
     "replay->from.offset == OFFSET_NONE ? replay->target : replay->from.offset;",
     ["simulation", "engine_test_restore"]),
    ("a store that is behind is used as it is", "runtime/engine/restore_verdict.c",
     "    if (order == 0 && facts->restored_in_part", "    if (order <= 0 && facts->restored_in_part",
     ["protocol", "engine_test_restore_verdict", "simulation"]),
    ("a store that is ahead is used as it is", "runtime/engine/restore_verdict.c",
     "    if (order > 0) {\n        return judge_ahead", "    if (order > 7) {\n        return judge_ahead",
     ["engine_test_restore_verdict"]),
    ("commits of others behind a state that is ahead of the group", "runtime/engine/restore_replay.c",
     "restoration->tail != TAIL_APPLIED && is_commit(restoration, index)",
     "restoration->tail == TAIL_LOST && is_commit(restoration, index)",
     ["engine_test_restore"]),
    ("rollback keeps the changes", "runtime/store/table.c",
     "        if (changed->before == NULL) {\n            remove_entry(table, changed->entry);\n        } else {\n            restore_before(table, changed);",
     "        if (changed->before == NULL) {\n            remove_entry(table, changed->entry);\n        } else if (i > 0) {\n            restore_before(table, changed);",
     ["store_test_table", "store_test_set", "store_test_store_model", "simulation"]),
    ("stream time is forgotten", "runtime/engine/timers.c",
     "PRId64 \" %\" PRId64, commit_number, stream_time);",
     "PRId64 \" %\" PRId64, commit_number, stream_time < 0 ? stream_time : 0);",
     ["engine_test_timers", "engine_test_worker"]),
    ("the merge's deltas are deleted too early", "runtime/store/append.c",
     "delta_log_append(append->log, rows, append->count, append->merged, err) : 0;",
     "delta_log_append(append->log, rows, append->count, append->seq, err) : 0;",
     ["store_test_set", "store_test_store_model", "simulation"]),
    ("a commit does not wait for the one before", "runtime/store/interval.c",
     "    take_append(set, true, &taken);", "    take_append(set, false, &taken);",
     ["simulation", "store_test_append", "store_test_store_model"]),
    ("a merge takes what is not in the log yet for merged", "runtime/store/interval.c",
     "    if (set->append.state != APPEND_DONE) {\n        return;", "    if (set->append.state > APPEND_FAILED) {\n        return;",
     ["store_test_append"]),
    ("a commit that could not be written in the background is forgotten", "runtime/store/append.c",
     "    if (append->state == APPEND_FAILED && write_deltas(append, err) != 0) {",
     "    if (append->state == APPEND_DONE && write_deltas(append, err) != 0) {",
     ["store_test_append"]),
    ("a new store is not durable before its deltas", "runtime/store/rows.c",
     "    if (database_execute(&rows->database, SQL_SYNC_ALL, err) != 0 || rows_begin(rows, err) != 0) {",
     "    if (rows_begin(rows, err) != 0) {",
     ["simulation"]),
    ("a file cut off within a page is used", "runtime/store/database.c",
     "(role == DATABASE_OWNER && check_length(database, err) != 0)",
     "(role == DATABASE_MERGER && check_length(database, err) != 0)",
     ["store_test_quarantine"]),
    ("the log does not sync", "runtime/local/local_db.c",
     "? \"PRAGMA synchronous = FULL; PRAGMA cache_size = -2048;", "? \"PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2048;",
     ["simulation"]),
    ("positions are left out of the log's transaction", "runtime/local/local_commit.c",
     "    for (size_t i = 0; i < request->position_count; i++) {", "    for (size_t i = 1; i < request->position_count; i++) {",
     ["local_test_local_session", "embedded"]),
    ("the store remembers the log's end, not what was acknowledged (P9)", "runtime/engine/worker_commit.c",
     "        if (offset > changelog->offset) {\n            changelog->offset = offset;",
     "        if (offset > changelog->offset) {\n            changelog->offset = offset + 1;",
     ["engine_test_restore", "engine_test_worker", "simulation"]),
    ("a source's position is not kept", "runtime/engine/worker_task.c",
     "    if (!task->batch->position.data) {", "    if (!task->batch->position.data || task->taken > 0) {",
     ["engine_test_worker_source", "connectors"]),
    ("a batch of a source in two commits", "runtime/engine/worker_int.h",
     "    return worker_task_feeds(input) && input->next > 0 && input->next < input->count;",
     "    return worker_task_feeds(input) && input->next > 1000000 && input->next < input->count;",
     ["engine_test_worker_source"]),
    ("a source is told of a position that is not committed", "runtime/engine/worker_task.c",
     "    task->moved = true;\n", "    task->moved = true;\n    source_task_acknowledge(task->source, task->batch->position);\n",
     ["engine_test_worker_source"]),
    ("a missed commit without an offset goes unnoticed", "runtime/engine/restore_verdict.c",
     "kept_number(facts) < facts->commit_number ? -1 : result;", "kept_number(facts) < 0 ? -1 : result;",
     ["engine_test_worker_source"]),
    ("the group passes what a target has", "runtime/engine/worker_task.c",
     "    int64_t offset = input->task->acknowledged < input->position ? input->task->acknowledged : input->position;",
     "    int64_t offset = input->position;",
     ["engine_test_worker_sink"]),
    ("a refused record is passed before its dead letter is committed", "runtime/engine/worker_task.c",
     "    task->refusal = REFUSAL_TREATED;\n", "    task->refusal = REFUSAL_NONE;\n    sink_task_pass(task->sink);\n",
     ["engine_test_worker_sink"]),
    ("what a target has after an unknown outcome is written again", "runtime/engine/sink_task.c",
     "    while (task->done < task->count && task->records[task->done].offset < next) {",
     "    while (task->done < task->count && task->records[task->done].offset < next - 3) {",
     ["engine_test_sink_task", "connectors"]),
    ("a target passes a record whose dead letter is not committed", "runtime/engine/worker_task.c",
     "            sink_task_hold(task->sink, input->position);\n", "            (void)input;\n",
     ["engine_test_worker_sink", "connectors"]),
    ("the rows of one record are torn apart", "runtime/engine/sink_task.c",
     "        if (write_batch(task, left < most ? left : round_up(task, most), err)) {",
     "        if (write_batch(task, left < most ? left : most, err)) {",
     ["engine_test_worker_sink", "connectors"]),
    ("the target's position moves from anywhere", "connectors/sqlite/sqlite_sink.c",
     "\"AND topic = ?3 AND part = ?4 AND next = ?6\";", "\"AND topic = ?3 AND part = ?4 AND next < ?6 + 1000000\";",
     ["connectors_test_sqlite_sink", "connectors"]),
    ("revoked with uncommitted work kept", "runtime/engine/stream_thread_group.c",
     "!commit_before_revocation(thread, err) || !everything) {", "(commit_before_revocation(thread, err), false) || !everything) {",
     ["protocol"]),
    ("a transaction that is refused counts as committed", "runtime/engine/commit.c",
     "[COMMIT_TRANSACTION] = {TO(STORES), TO(FAILED), TO(WAITING), TO(ABORT), TO(RECOVER), TO(LOST), TO(FAILED)},",
     "[COMMIT_TRANSACTION] = {TO(STORES), TO(FAILED), TO(WAITING), TO(ABORT), TO(RECOVER), TO(STORES), TO(FAILED)},",
     ["protocol"]),
    ("lost partitions are given back as if they were revoked", "runtime/engine/stream_thread_group.c",
     "    if (lost || thread->failed || thread->leave || !commit_before_revocation(thread, err) || !everything) {",
     "    if (thread->failed || thread->leave || (!lost && !commit_before_revocation(thread, err)) || !everything) {",
     ["protocol"]),
    ("the end that a reader reports is taken for the changelog's end", "runtime/engine/restore_replay.c",
     "    apply_all(restorer, records, count);\n",
     "    apply_all(restorer, records, count);\n"
     "    for (size_t i = 0; count == 0 && i < restorer->active_count; i++) {\n"
     "        for (size_t r = 0; r < restorer->active[i]->count; r++) {\n"
     "            restorer->active[i]->replays[r].target = restorer->active[i]->replays[r].position;\n"
     "        }\n    }\n",
     ["engine_test_restore", "kafka: open transaction"]),
    ("a delta is merged twice", "runtime/store/merge_pass.c",
     ".seen = rows->merged, .last = rows->merged, .rows_each = LEAST_ROWS};",
     ".seen = --rows->merged, .last = rows->merged, .rows_each = LEAST_ROWS};",
     ["store_test_set", "store_test_store_model", "simulation"]),
    ("of the changes of a key the oldest is merged", "runtime/store/merge_pass.c",
     "(one->number < other->number) - (one->number > other->number);",
     "(one->number > other->number) - (one->number < other->number);",
     ["store_test_store_model", "simulation"]),
    ("an entry that is not in the files is evicted", "runtime/store/table.c",
     "        if (entry == NULL || entry == keep || !is_clean(entry)) {\n            continue;",
     "        if (entry == NULL || entry == keep) {\n            continue;",
     ["store_test_table", "store_test_store_model"]),
    ("positions are committed before the outputs", "runtime/local/local_commit.c",
     "    for (size_t i = 0; i < request->append_count; i++) {\n        if (run_append(",
     "    for (size_t i = 0; i < request->position_count; i++) {\n"
     "        if (put_position(db, request->app, &request->positions[i], err) != 0) {\n            return -1;\n        }\n    }\n"
     "    if (request->position_count > 0 &&\n"
     "        (local_db_exec(db, SQL_COMMIT, err) != 0 || local_db_exec(db, SQL_BEGIN_WRITE, err) != 0)) {\n"
     "        return -1;\n    }\n"
     "    for (size_t i = 0; i < request->append_count; i++) {\n        if (run_append(",
     ["local_test_local_commit", "simulation", "embedded"]),
    ("a slot is used by two processes", "runtime/engine/slot.c",
     "    } else if (flock(slot->lock, LOCK_EX | LOCK_NB)) {", "    } else if (flock(slot->lock, LOCK_EX | LOCK_NB) && result == 0) {",
     ["engine_test_slot"]),
    ("the log's lock is not taken", "runtime/local/local_lock.c",
     "        result = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));", "        result = 0 * (int)wait;",
     ["local_test_local_session"]),
]

# Those of --fast: their tests take about a second, and need no more than three programs.
FAST = ("a store that is behind is used as it is", "a store that is ahead is used as it is",
        "a store that could not commit goes on", "an unknown outcome counts as committed", "rollback keeps the changes",
        "an entry that is not in the files is evicted")


def check_texts():
    """A mutant whose text is not there once is stale: it would be none, or another one."""
    stale = []
    for name, file, text, replacement, _ in MUTANTS:
        with open(os.path.join(ROOT, file)) as source:
            count = source.read().count(text)
        if count != 1 or text == replacement:
            stale.append(f"{name}: {file} has its text {count} times\n{text}")
    stale += [f"{name}: --fast names it, and it is not there" for name in FAST if name not in [m[0] for m in MUTANTS]]
    return stale


class Tree:
    """A copy of the sources with a build of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.hung = False
        self.build = os.path.join(directory, "build")
        self.update()

    def run(self, command, **options):
        return subprocess.run(command, cwd=self.directory, stdin=subprocess.DEVNULL, check=False, **options)

    def update(self):
        """Files that are as they were keep their time, so that only what changed is compiled; others go."""
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        names = {name for name in listed.split("\n") if name and os.path.exists(os.path.join(ROOT, name))}
        for name in names:
            source, target = os.path.join(ROOT, name), os.path.join(self.directory, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.exists(target) or open(source, "rb").read() != open(target, "rb").read():
                shutil.copy(source, target)
        self.remove_old(names)
        if not os.path.exists(os.path.join(self.build, "build.ninja")):
            command = ["cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DTIDEMILL_FAILPOINTS=ON"]
            if self.run(command, stdout=subprocess.DEVNULL).returncode != 0:
                sys.exit("The copy of the sources can't be configured.")

    def remove_old(self, names):
        """Sources that are no more would be compiled as before, in a directory that is kept."""
        for folder in {name.split("/")[0] for name in names if name.endswith(".c")}:
            for path, _, files in os.walk(os.path.join(self.directory, folder)):
                for file in files:
                    source = os.path.join(path, file)
                    if file.endswith((".c", ".h")) and os.path.relpath(source, self.directory) not in names:
                        os.remove(source)

    def make(self, tests):
        others = any(t not in UNIT and t != "protocol" for t in tests)
        targets = ["tidemill", "crash_simulation", "kafka_transport_test"] if others else []
        targets += [t for t in tests if t in UNIT] + (["protocol_simulation"] if "protocol" in tests else [])
        result = self.run(["ninja", "-C", "build", "-j", os.environ.get("JOBS", "2"), *targets], capture_output=True,
                          text=True)
        if result.returncode != 0:
            sys.exit(f"A mutant does not compile:\n{result.stdout[-3000:]}")

    def test(self, name):
        """True: passed, False: failed or hung (which is noted), None: skipped."""
        environment = dict(os.environ, CK_TIMEOUT_MULTIPLIER="4")  # slow is not caught
        if name in CAMPAIGNS:
            part, more = CAMPAIGNS[name]
            environment.update(more, VENV=os.path.join(self.directory, "build"))
            environment.setdefault("TIDEMILL_KAFKA_CACHE", os.path.join(ROOT, "build", "kafka-jars"))
            command = ["tests/crash/run.sh", self.build, part]
        elif name in KAFKA_TESTS:
            environment.setdefault("TIDEMILL_KAFKA_CACHE", os.path.join(ROOT, "build", "kafka-jars"))
            command = ["tests/kafka/run.sh", self.build, KAFKA_TESTS[name]]
        else:
            command = {**UNIT, **SIMULATION}[name]
            command = [os.path.join(self.build, command[0]), *command[1:]]
        process = subprocess.Popen(command, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            status = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            self.hung = True
            return False
        return None if status == 77 else status == 0

    def change(self, name, text, replacement):
        path = os.path.join(self.directory, name)
        with open(path) as file:
            before = file.read()
        if before.count(text) != 1:
            sys.exit(f"{name} no longer has this text once, so the list of mutants must be brought up to date:\n{text}")
        with open(path, "w") as file:
            file.write(before.replace(text, replacement))
        return path, before

    def put_back(self, path, before):
        with open(path, "w") as file:
            file.write(before)


def run_mutant(tree, mutant):
    """Name of the test that caught it, or None."""
    name, file, text, replacement, tests = mutant
    tree.hung = False
    path, before = tree.change(file, text, replacement)
    try:
        tree.make(tests)
        for test in tests:
            passed = tree.test(test)
            if passed is None:
                print(f"SKIP: {name}: {test}", flush=True)
            elif not passed:
                return test + (", hung" if tree.hung else "")
        return None
    finally:
        tree.put_back(path, before)


def check_unchanged(tree, mutants):
    tests = sorted({t for m in mutants for t in m[4] if t in UNIT or t in SIMULATION})
    tree.make(tests)
    for test in tests:
        if not tree.test(test):
            sys.exit(f"{test} fails without a mutant.")


def main():
    if stale := check_texts():
        sys.exit("The list of mutants must be brought up to date:\n" + "\n".join(stale))
    if sys.argv[1:] == ["--check"]:
        return
    parts = FAST if sys.argv[1:] == ["--fast"] else sys.argv[1:]
    wanted = [m for m in MUTANTS if not parts or any(part in m[0] for part in parts)]
    directory = os.environ.get("TIDEMILL_MUTANTS") or tempfile.mkdtemp(prefix="tidemill-mutants-")
    tree = Tree(directory)
    survivors = 0
    try:
        check_unchanged(tree, wanted)
        for mutant in wanted:
            began = time.monotonic()
            caught = run_mutant(tree, mutant)
            survivors += caught is None
            print(f"{mutant[0]:<66} {caught or 'SURVIVES':<28} {time.monotonic() - began:4.0f} s", flush=True)
    finally:
        if not os.environ.get("TIDEMILL_MUTANTS"):
            shutil.rmtree(directory, ignore_errors=True)
    print(f"mutants: {len(wanted) - survivors} of {len(wanted)} caught")
    sys.exit(survivors > 0)


if __name__ == "__main__":
    main()
