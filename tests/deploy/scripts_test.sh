#!/usr/bin/env bash
# The scripts of deploy/, on real processes in two state folders of their own: up, again, repairs
# after what may be killed or removed, refusals, two side by side, down. Ends with `N passed, M failed`.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LECTERN_BUILD=${LECTERN_BUILD:-$ROOT/build}
PASSED=0 FAILED=0
export PROCESSES # the database, a gateway, and an actor a domain
PROCESSES=$(. "$ROOT/deploy/lib.sh" && echo $((2 + ${#DOMAINS[@]})))

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# ---- what is checked ----

# $1: what should hold; then a command that says whether it does.
expect() {
    local what=$1
    shift

    if "$@"; then
        PASSED=$((PASSED + 1))
        echo "ok: $what"
    else
        FAILED=$((FAILED + 1))
        echo "NOT: $what"
        ! [[ -d $LECTERN_STATE/log ]] || tail -n 5 "$LECTERN_STATE"/log/*/current || true
    fi
}

up() {
    "$ROOT/deploy/up" --no-build --no-bible >"$OUT" 2>&1 || {
        cat "$OUT"
        return 1
    }
}

# $1: exit code, $2: text on the one line of standard error; then a command.
refuses() {
    local code=$1 text=$2 got=0
    shift 2

    "$@" >/dev/null 2>"$OUT" || got=$?
    [[ $got == "$code" && $(wc -l <"$OUT") == 1 ]] && grep -q -- "$text" "$OUT" && return 0
    echo "exit code $got:"
    cat "$OUT"
    return 1
}

all_ready() {
    "$ROOT/deploy/status" --json | python3 -c '
import json, os, sys
found = json.load(sys.stdin)
assert len(found) == int(os.environ["PROCESSES"]), found
assert all(p["ready"] is True and p["pid"] > 1 and p["pss_kib"] > 0 for p in found), found'
}

none_runs() {
    [[ $("$ROOT/deploy/status" --json | grep -c '"pid":null') == "$PROCESSES" ]] &&
        ! pgrep -f "$LECTERN_STATE/" >/dev/null
}

pid_of() {
    "$ROOT/deploy/status" --json | python3 -c '
import json, sys
print(next(p["pid"] for p in json.load(sys.stdin) if p["name"] == sys.argv[1]))' "$1"
}

pids() {
    "$ROOT/deploy/status" --json | grep -o '"pid":[0-9a-z]*'
}

same_pids() {
    [[ $(pids) == "$1" ]]
}

other_pid() {
    local pid

    pid=$(pid_of "$1")
    [[ $pid != None && $pid != "$2" ]]
}

# Tries for ten seconds.
soon() {
    local tries

    for ((tries = 0; tries < 100; tries++)); do
        ! "$@" || return 0
        sleep 0.1
    done
    return 1
}

healthy() {
    [[ $(curl -s -m 5 -o /dev/null -w '%{http_code}' "http://$LECTERN_HTTP/ready") == 200 ]]
}

users() {
    "$ROOT/deploy/run" psql -XqAtc 'select count(*) from users'
}

make_user() {
    curl -s -m 5 -o /dev/null "http://$LECTERN_HTTP/api/user/session"
}

# Whether an actor answered a passage at least once, asked for some at a time.
was_used() {
    local admin=$LECTERN_STATE/run/$1.admin n asked=()

    [[ -r $admin ]] || return 1
    for n in 1 2 3 4 5 6 7 8; do
        curl -s -m 5 -o /dev/null \
            "http://$LECTERN_HTTP/api/passage?book=John&chapter=$n&verse_start=$((RANDOM % 25 + 1))" &
        asked+=($!)
    done
    wait "${asked[@]}"
    curl -s -m 5 "http://$(cat "$admin")/metrics" |
        grep -q '^lectern_requests_total{method="bible.passage"} [1-9]'
}

ends_well() {
    kill -TERM "$1"
    wait "$1"
}

# ---- the two Lecterns ----

FOLDER=$(mktemp -d /tmp/ldep.XXXXXX)
OUT=$FOLDER/out
chmod 0755 "$FOLDER"
unset DATABASE_URL PGHOST
FIRST_HTTP=127.0.0.1:$(free_port) SECOND_HTTP=127.0.0.1:$(free_port)

use() {
    export LECTERN_STATE=$FOLDER/$1 LECTERN_HTTP=$2
}

clean_up() {
    local state

    for state in first second; do
        LECTERN_STATE=$FOLDER/$state "$ROOT/deploy/down" >/dev/null 2>&1 || true
    done
    rm -rf "$FOLDER"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

use first "$FIRST_HTTP"
expect "a state that is too long is refused" refuses 1 "bytes long" \
    env LECTERN_STATE="$FOLDER/$(printf '%070d' 0)" "$ROOT/deploy/up" --no-build
expect "an unknown option is refused" refuses 64 "what is" "$ROOT/deploy/up" --nix
expect "down where nothing is" "$ROOT/deploy/down"
expect "up" up
expect "all are ready" all_ready
expect "the gateway answers" healthy
make_user
kept=$(users)
expect "a user is made" test "$kept" -ge 1

before=$(pids)
expect "up again" up
expect "what runs is left alone" same_pids "$before"

old=$(pid_of lectern-user-1)
kill -KILL "$old"
expect "a killed actor comes back" soon other_pid lectern-user-1 "$old"
expect "and is ready" soon all_ready

rm "$LECTERN_STATE/service/lectern-bible-1"
expect "up after a link was removed" up
expect "all are ready" all_ready

kill -KILL "$(cut -d ' ' -f 1 "$LECTERN_STATE/sv/runsvdir.pid")"
expect "up after runsvdir was killed" up
expect "all are ready" all_ready

mapfile -t doomed < <(cut -d ' ' -f 1 "$LECTERN_STATE"/sv/*/pid "$LECTERN_STATE/sv/runsvdir.pid")
mapfile -t -O ${#doomed[@]} doomed < <(pgrep -P "$(cut -d ' ' -f 1 "$LECTERN_STATE/sv/runsvdir.pid")")
kill -KILL "${doomed[@]}" 2>/dev/null || true
expect "up after everything was killed" up
expect "all are ready" all_ready
expect "the data is there" test "$(users)" == "$kept"

"$LECTERN_STATE/bin/lectern-bible" --instance 2 2>"$FOLDER/by-hand.log" &
by_hand=$!
expect "an actor started by hand is used" soon was_used bible-2
expect "and ends on SIGTERM" ends_well "$by_hand"

before=$(pids)
old=$(pid_of lectern-gateway-1)
export CORS_ORIGINS=https://read.example.org
expect "up with another setting" up
expect "restarts what it concerns" other_pid lectern-gateway-1 "$old"
unset CORS_ORIGINS
before=$(pids)
expect "up without it" up
expect "remembers it" same_pids "$before"

use second "$FIRST_HTTP"
expect "an address in use is refused" refuses 1 "is in use" "$ROOT/deploy/up" --no-build --no-bible
use second "$SECOND_HTTP"
export DATABASE_URL="postgresql+asyncpg://lectern@/lectern?host=$FOLDER/first/run"
expect "a second Lectern, on the database of the first" up
unset DATABASE_URL
expect "psql finds that database" test "$(users)" == "$kept"
expect "down" "$ROOT/deploy/down"
rm -r "$LECTERN_STATE"
expect "a second Lectern" up
expect "is ready" all_ready
expect "answers" healthy
expect "down" "$ROOT/deploy/down"
expect "nothing of it runs" none_runs
use first "$FIRST_HTTP"
expect "the first runs on" same_pids "$before"
expect "restart" "$ROOT/deploy/restart"
expect "all are ready" all_ready
expect "down" "$ROOT/deploy/down"
expect "nothing runs" none_runs
expect "down again" "$ROOT/deploy/down"
expect "up from what is there" up
expect "the data is there" test "$(users)" == "$kept"

printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
((FAILED == 0))
