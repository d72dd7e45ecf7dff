#!/usr/bin/env bash
# Help, usage errors, and what is printed from the tables.
source "$(dirname "$0")/lib.sh"

commands="run dev check graph test produce consume topics lag state top reset connect docs completion version"

test_every_command_has_help_with_an_example() {
    status 0 tm help
    same "$commands" "$(echo "$out" | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | tr '\n' ' ' | sed 's/ $//')"
    for command in $commands; do
        status 0 tm "$command" --help
        says "Usage: tidemill $command"
        says "Example:
  "
        status 0 tm help "$command"
        says "Usage: tidemill $command"
    done
    status 0 tm --help
    status 0 tm run -h
    same "" "$err"
}

test_unknown_words_get_the_nearest_suggested() {
    status 2 tm rum
    says 'There is no command "rum"; the nearest is "run".'
    status 2 tm help prodce
    says 'the nearest is "produce"'
    status 2 tm xyzzy
    says 'There is no command "xyzzy"; `tidemill help` lists them.'
    status 2 tm run p.lua --until-and
    says 'has no option --until-and; the nearest is --until-end'
    status 2 tm consume t --fromm 1
    says 'the nearest is --from'
    status 2 tm topics creat t
    says 'the nearest is create'
    status 2 tm docs opertors
    says 'the nearest is operators'
    status 2 tm consume t --format tabel
    says 'must be one of key-value, value, key, json, table'
}

test_usage_errors() {
    status 2 tm
    says "A command is missing"
    status 2 tm run
    says "An argument is missing: tidemill run PIPELINE.lua"
    status 2 tm run a.lua b.lua
    says "There are too many arguments"
    status 2 tm consume
    status 2 tm consume t --limit
    says "needs a value"
    status 2 tm consume t --limit -3
    status 2 tm lag
    status 2 tm reset
    status 2 tm topics create
    status 2 tm topics list t
    status 2 tm produce t --set commit_ms=1
    says "takes kafka.PROPERTY=VALUE"
    status 2 tm produce t --at 0 --timestamp x
    status 2 tm produce t --csv --format json
    status 2 tm produce t --at soon
    status 2 tm consume t --brokers localhost:1 --data d
    says "either --brokers or --data"
    status 2 tm completion fish
}

test_errors_go_to_standard_error_with_advice() {
    status 3 tm run missing.lua
    same "" "$out"
    says "tidemill: "
    says "missing.lua"
}

test_the_version() {
    status 0 tm --version
    says "tidemill "
    same "$out" "$(tm version)"
    tm version --json | contains '^{"version":"[0-9.]*",'
}

test_the_completion_is_a_script() {
    tm completion bash > completion
    bash -n completion
    set +u
    source ./completion
    COMP_WORDS=(tidemill pro)
    COMP_CWORD=1
    COMPREPLY=()
    _tidemill || true # compgen says whether it found any
    same produce "${COMPREPLY[*]}"
    COMP_WORDS=(tidemill produce --par)
    COMP_CWORD=2
    COMPREPLY=()
    _tidemill || true # compgen says whether it found any
    same "--partition --partitions" "${COMPREPLY[*]}"
    COMP_WORDS=(tidemill produce --format j)
    COMP_CWORD=3
    COMPREPLY=()
    _tidemill || true # compgen says whether it found any
    same json "${COMPREPLY[*]}"
    COMP_WORDS=(tidemill topics de)
    COMP_CWORD=2
    COMPREPLY=()
    _tidemill || true # compgen says whether it found any
    same "describe delete" "${COMPREPLY[*]}"
    COMP_WORDS=(tidemill connect o)
    COMP_CWORD=2
    COMPREPLY=()
    _tidemill || true # compgen says whether it found any
    same offsets "${COMPREPLY[*]}"
    COMP_WORDS=(tidemill connect offsets "")
    COMP_CWORD=3
    COMPREPLY=()
    _tidemill || true # compgen says whether it found any
    same "show set reset" "${COMPREPLY[*]}"
}

test_docs() {
    status 0 tm docs --list
    same 8 "$(tm docs --list | wc -l)"
    for page in $(tm docs --list | awk '{ print $1 }'); do
        tm docs "$page" | contains '^# '
    done
    tm docs operators | contains 'stream:filter('
    tm docs connectors | contains '^## tm.connect.postgres'
    tm docs connectors | contains '`auto_create`'
    tm docs options | contains '`commit_ms`'
    tm docs metrics | contains 'tidemill_records_in_total'
    tm docs errors | contains '| `unreachable` | 4 |'
    status 0 tm docs --output pages
    same 8 "$(ls pages | wc -l)"
    status 5 tm docs --output /proc/nowhere
}

test_the_reference_in_the_repository_is_not_stale() {
    [ -d "$top/docs/reference" ] || skip "no repository around the tests"
    tm docs --output pages > /dev/null
    diff -ru "$top/docs/reference" pages
}

test_no_colours_outside_of_a_terminal() {
    unset NO_COLOR
    status 2 tm rum
    case $err in *$'\033'*) return 1 ;; esac
}

test_a_closed_output_is_no_crash() {
    tm docs | head -n 1 > /dev/null || true
    status 5 sh -c "'$PROGRAM' docs > /dev/full"
    says "Standard output can't be written: No space left on device"
}

run_tests
