# shellcheck shell=bash
# What many connections cost that ask nothing: hold.py opens them, asks on each once and keeps them.

hold_connections() {
    coproc HOLD { exec python3 "$BENCH/hold.py" "$LECTERN_HTTP" "$IDLE_CONNECTIONS"; }
    HELPERS+=("$HOLD_PID")
    read -r _ <&"${HOLD[0]}" || fail "$IDLE_CONNECTIONS connections could not be held"
}

release_connections() {
    has_connections "$IDLE_CONNECTIONS" || fail "not all idle connections were kept"
    end_helper "${HELPERS[-1]}"
    wait_until 10 has_connections 0
}

# Of a gateway that has done nothing yet, because later it has memory left from its work. Sets
# IDLE_MEMORY.
measure_idle_memory() {
    local before after

    say "memory of $IDLE_CONNECTIONS idle connections"
    before=$(memory_mib gateway)
    hold_connections
    after=$(memory_mib gateway)
    release_connections
    IDLE_MEMORY=$(awk -v a="$before" -v b="$after" 'BEGIN { printf "%.1f\n", b - a }')
}

measure_idle() {
    local round without

    : >"$WORK/rounds"
    for ((round = 1; round <= ROUNDS; round++)); do
        say "round $round of $ROUNDS: $IDLE_CONNECTIONS idle connections"
        load_session 64 "$SECONDS_EACH"
        without=$(wrk_figure rate)
        wait_until 10 has_connections 0
        hold_connections
        load_session 64 "$SECONDS_EACH"
        wait_until 10 has_connections "$IDLE_CONNECTIONS"
        release_connections
        echo "$(wrk_figure rate) $without" >>"$WORK/rounds"
    done
    row "e. memory of $(rounded 0 <<<"$IDLE_CONNECTIONS") idle connections, MiB PSS" \
        "$IDLE_MEMORY" "" "$IDLE_MEMORY" "<= 40"
    row "e. session, 64 connections, beside them" "$(middle 1 0)" "$(middle 2 0) (without them)" \
        "$(ratio 1 2)" ">= 0.9"
}
