# shellcheck shell=bash
# Conversations as streams of events (streams.py), answered by a language model's provider of our
# own (tests/fake/provider.py), which speaks at a steady pace. Both share the cores with what is
# measured; neither counts.

STREAMS_MANY=500 STREAMS_LOAD=200

# The actor of chats learns where the provider is, and that nobody has a limit.
open_streams() {
    PROVIDER=$(free_port)
    cat >>"$LECTERN_CONFIG" <<CONF
[lectern-chat]
llm = anthropic
anthropic_key = none
anthropic_url = http://127.0.0.1:$PROVIDER
chat_limit = 0
CONF
    "$ROOT/deploy/restart" lectern-chat-1 >"$WORK/restart.log" 2>&1 ||
        fail "the actor of chats did not restart: $(tail -n 1 "$WORK/restart.log")"
    read_pids
    "$ROOT/deploy/run" lectern send user.set_pro_subscription \
        "{\"anonymous_id\":\"$USER_ID\",\"pro_subscription\":true}" >"$WORK/pro.log" ||
        fail "the user has a daily limit"
}

# $1: tokens of an answer, $2: seconds between two.
start_provider() {
    /usr/bin/python3 "$ROOT/tests/fake/provider.py" "$PROVIDER" --tokens "$1" --between "$2" \
        >"$WORK/provider.log" 2>&1 &
    PROVIDER_PID=$!
    HELPERS+=("$PROVIDER_PID")
    wait_until 10 test -s "$WORK/provider.log"
}

# Returns when each has had its first token. $1: how many.
start_streams() {
    coproc STREAMING { exec python3 "$BENCH/streams.py" "$LECTERN_HTTP" "$USER_ID" "$1"; }
    HELPERS+=("$STREAMING_PID")
    STREAMS_PID=$STREAMING_PID
    exec {STREAMS}<&"${STREAMING[0]}"
    read -r _ <&"$STREAMS" || fail "$1 streams could not be begun"
}

# Sets TOKENS and TOOK, the seconds from the first request to the last event.
await_streams() {
    read -r TOKENS TOOK <&"$STREAMS" || fail "a stream did not end well"
    exec {STREAMS}<&-
    end_helper "$STREAMS_PID"
}

# Of the gateway, the actor and PostgreSQL with its sessions, KiB (PSS).
streams_memory_kib() {
    local pid

    for pid in $(family gateway) $(family chat) $(family postgres); do
        cat "/proc/$pid/smaps_rollup" 2>/dev/null || true
    done | awk '$1 == "Pss:" { kib += $2 } END { print kib }'
}

measure_chats_at_once() {
    start_provider 20 0.1
    start_streams 20
    await_streams
    row "k. 20 chats of 2 s at once, seconds" "$TOOK" "" "$TOOK" "<= 2.3"
    end_helper "$PROVIDER_PID"
}

measure_beside_streams() {
    local round without

    start_provider $(((SECONDS_EACH + 4) * 10)) 0.1
    : >"$WORK/rounds"
    for ((round = 1; round <= ROUNDS; round++)); do
        say "round $round of $ROUNDS: sessions beside $STREAMS_LOAD streams"
        load_session 64 "$SECONDS_EACH"
        without=$(wrk_figure 99%)
        start_streams "$STREAMS_LOAD"
        load_session 64 "$SECONDS_EACH"
        await_streams
        awk -v with="$(wrk_figure 99%)" -v without="$without" \
            'BEGIN { printf "%.2f %.2f %.2f\n", with / 1000, without / 1000, (with - without) / 1000 }' \
            >>"$WORK/rounds"
    done
    row "l. session, 64 connections, beside $STREAMS_LOAD streams, p99, ms" "$(middle 1 2)" \
        "$(middle 2 2) (without)" "$(middle 3 2)" "<= 5"
    end_helper "$PROVIDER_PID"
}

# After the first rounds, so that what stays by itself is there already.
measure_memory_of_streams() {
    local before after

    start_provider 40 0.5
    start_streams 50
    await_streams
    before=$(streams_memory_kib)
    start_streams "$STREAMS_MANY"
    after=$(streams_memory_kib)
    await_streams
    row "m. memory of a stream, of $STREAMS_MANY, KiB PSS" \
        "$(((after - before) / STREAMS_MANY))" "" "$(((after - before) / STREAMS_MANY))" "<= 64"
    end_helper "$PROVIDER_PID"
}

measure_cpu_of_streams() {
    local before=() used=() name

    start_provider 100 0.1
    start_streams "$STREAMS_LOAD"
    for name in gateway chat; do before+=("$(cpu_us "$name")"); done
    await_streams
    for name in gateway chat; do used+=($(($(cpu_us "$name") - before[${#used[@]}]))); done
    row "n. CPU a token of $STREAMS_LOAD streams, µs, of gateway and actor" \
        "$((used[0] / TOKENS)) + $((used[1] / TOKENS))" "" "$(((used[0] + used[1]) / TOKENS))" "<= 15"
    end_helper "$PROVIDER_PID"
}

measure_streams() {
    open_streams
    if wanted k; then measure_chats_at_once; fi
    if wanted l; then measure_beside_streams; fi
    if wanted m; then measure_memory_of_streams; fi
    if wanted n; then measure_cpu_of_streams; fi
}
