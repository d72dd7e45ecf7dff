#!/usr/bin/env bash
# State on a disk that is full when it is opened: a small file system in a name space of its own.
source "$(dirname "$0")/lib.sh"

# full_then_room FILES LOG: with room for so many files, until the log says that; then there is room.
full_then_room() {
    unshare -rm true 2> /dev/null || skip "no right to mount"
    mkdir -p small
    cat > count.lua <<'END'
local app = require("tidemill").app "counter"
app:stream("in"):group_by_key():count { store = "counts" }:to("out")
END
    seq 100 | sed 's/.*/{"k":"k&"}/' | tm produce in --key k
    cat > inside.sh <<'END'
mount -t tmpfs -o size=9M,nr_inodes="$1" tmpfs small || exit 77
"$PROGRAM" run count.lua --until-end --log-level warn --set state_dir="$PWD/small/state" > log 2>&1 &
for i in $(seq 300); do
    grep -q "$2" log && break
    sleep 0.05
done
mount -o remount,nr_inodes=1000 small
wait $!
END
    local result=0
    PROGRAM=$PROGRAM unshare -rm bash inside.sh "$@" || result=$?
    [ $result -ne 77 ] || skip "no right to mount"
    cat log
    [ $result -eq 0 ]
    grep -q "$2" log
    same 100 "$(tm consume out | wc -l)"
}

test_no_room_for_the_directory_of_the_process() { full_then_room 4 "no room for state, waiting"; }
test_no_room_for_the_directory_of_a_worker() { full_then_room 6 "for state can't be made: No space left"; }
test_no_room_for_the_files_of_a_worker() { full_then_room 8 "can't grow: .*Free some space"; }

run_tests
