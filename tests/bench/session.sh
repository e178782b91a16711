# shellcheck shell=bash
# GET /api/user/session with a known cookie against pgbench with the statement of its handler.

# A user, the statement, and the number of clients that pgbench is best at.
open_session() {
    PGBENCH=$(find /usr/lib/postgresql -path '*/bin/pgbench' | sort -V | tail -n 1)
    USER_ID=$(curl -s -o /dev/null -D - "$SESSION" |
        sed -n 's/^[Ss]et-[Cc]ookie: verse_user_id=\([^;]*\);.*/\1/p')
    [[ -n $USER_ID ]] || fail "no user was made: $(curl -s "$SESSION")"
    session_statement >"$WORK/session.sql"
    find_clients
}

# The statement that the handler of user.session runs, with pgbench's variable for its parameter.
session_statement() {
    python3 - "$ROOT/actors/user/handlers.c" <<'PYTHON'
import ast, re, sys

source = open(sys.argv[1], encoding="utf-8").read()
handler = source[re.search(r"\bint user_session\(", source).start():]
name = re.search(r"&(\w+),", handler[:handler.index("\n}\n")]).group(1)
statement = re.search(
    r"STATEMENT(?:_WRITE)?\(\s*%s\s*,((?:[^\"();]|\"(?:[^\"\\]|\\.)*\")*)\)" % name, source)
parts = re.findall(r'"(?:[^"\\]|\\.)*"', statement.group(1))
text = "".join(ast.literal_eval(part) for part in parts)
print(re.sub(r"\$1\b", ":user_id", text) + ";")
PYTHON
}

# $1: connections, $2: seconds.
load_session() {
    run_wrk "$1" "$2" "$SESSION" -H "Cookie: verse_user_id=$USER_ID"
}

# $1: clients, $2: seconds, then more options. What it said is in $WORK/pgbench.log.
run_pgbench() {
    local clients=$1 seconds=$2
    shift 2

    LECTERN_INSTANCE='' "$ROOT/deploy/run" "$PGBENCH" -n -M prepared -c "$clients" \
        -j $((clients < 2 ? 1 : 2)) -T "$seconds" -D "user_id=$USER_ID" \
        -f "$WORK/session.sql" "$@" >"$WORK/pgbench.log" 2>&1 ||
        fail "pgbench: $(tail -n 1 "$WORK/pgbench.log")"
}

pgbench_rate() {
    sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$WORK/pgbench.log"
}

find_clients() {
    local clients

    say "looking for pgbench's best number of clients"
    : >"$WORK/rounds"
    for clients in "${CLIENTS[@]}"; do
        run_pgbench "$clients" $((SECONDS_EACH < 2 ? 1 : 2))
        echo "$(pgbench_rate) $clients" >>"$WORK/rounds"
    done
    BEST=$(sort -g "$WORK/rounds" | tail -n 1 | cut -d ' ' -f 2)
}

# ---- rates, latencies and CPU time ----

# Adds a line to $WORK/levels: connections, rate, median and 99th percentile, and CPU time a request
# of gateway, actor, PostgreSQL and wrk; all in microseconds. $1: connections.
measure_level() {
    local name before=() used=()

    for name in gateway user postgres; do before+=("$(cpu_us "$name")"); done
    load_session "$1" "$SECONDS_EACH"
    for name in gateway user postgres; do
        used+=($(($(cpu_us "$name") - before[${#used[@]}])))
    done
    used+=("$(awk '{ printf "%.0f\n", ($1 + $2) * 1000000 }' "$WORK/wrk.time")")
    awk -v connections="$1" -v rate="$(wrk_figure rate)" -v p50="$(wrk_figure 50%)" \
        -v p99="$(wrk_figure 99%)" -v requests="$(wrk_figure requests)" '{
            printf "%d %s %s %s", connections, rate, p50, p99
            for (i = 1; i <= NF; i++) printf " %.2f", $i / requests
            print ""
        }' <<<"${used[*]}" >>"$WORK/levels"
}

measure_rates() {
    local round connections

    : >"$WORK/rounds"
    : >"$WORK/levels"
    for ((round = 1; round <= ROUNDS; round++)); do
        say "round $round of $ROUNDS: rates"
        run_pgbench "$BEST" "$SECONDS_EACH"
        for connections in "${CONNECTIONS[@]}"; do measure_level "$connections"; done
        echo "$(pgbench_rate) $(last_rate 64) $(last_rate 256)" >>"$WORK/rounds"
    done
    row "a. session, 64 connections, a second" "$(middle 2 0)" \
        "$(middle 1 0) (PostgreSQL, $BEST clients)" "$(ratio 2 1)" ">= 0.6"
    row "a. session, 256 connections, a second" "$(middle 3 0)" \
        "$(middle 1 0) (PostgreSQL, $BEST clients)" "$(ratio 3 1)" ">= 0.8"
}

last_rate() {
    awk -v connections="$1" '$1 == connections { rate = $2 } END { print rate }' "$WORK/levels"
}

# The second table.
print_levels() {
    local connections

    printf '\n| connections | a second | p50, ms | p99, ms %s\n' \
        '| gateway, µs CPU a request | actor | PostgreSQL | wrk |'
    printf '|---|---|---|---|---|---|---|---|\n'
    for connections in "${CONNECTIONS[@]}"; do
        awk -v connections="$connections" '$1 == connections { $3 /= 1000; $4 /= 1000; print }' \
            "$WORK/levels" >"$WORK/rounds"
        printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$(rounded 0 <<<"$connections")" \
            "$(middle 2 0)" "$(middle 3 2)" "$(middle 4 2)" "$(middle 5 1)" "$(middle 6 1)" \
            "$(middle 7 1)" "$(middle 8 1)"
    done
}

# ---- one connection on one core ----

# In microseconds, one client.
pgbench_median() {
    awk '{ print $3 }' "$WORK"/run/latency.* | median
    rm -f "$WORK"/run/latency.*
}

measure_latency() {
    local round

    : >"$WORK/rounds"
    pin 0
    for ((round = 1; round <= ROUNDS; round++)); do
        say "round $round of $ROUNDS: latency on one core"
        load_session 1 "$SECONDS_EACH"
        run_pgbench 1 "$SECONDS_EACH" -l --log-prefix="$WORK/run/latency"
        echo "$(wrk_figure 50%) $(pgbench_median)" >>"$WORK/rounds"
    done
    pin "0-$(($(nproc --all) - 1))"
    row "b. session, 1 connection, one core, median, µs" "$(middle 1 0)" \
        "$(middle 2 0) (PostgreSQL, 1 client)" "$(ratio 1 2)" "<= 4"
}
