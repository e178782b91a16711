# shellcheck shell=bash
# What it costs to be watched: the log at its default level and every process's /metrics read each
# second (scrape.py, on the same cores), against errors only and nobody reading.

# The processes take it while they work; what is measured does not depend on the moment. $1: level.
set_log_level() {
    echo "log_level = $1" >"$LECTERN_CONFIG"
    kill -HUP "${PIDS[gateway]}" "${PIDS[user]}" "${PIDS[bible]}"
}

start_scraping() {
    coproc SCRAPE { exec python3 "$BENCH/scrape.py" "$WORK"/run/*.admin; }
    HELPERS+=("$SCRAPE_PID")
    read -r _ <&"${SCRAPE[0]}" || fail "the metrics could not be read"
}

load_watched() {
    set_log_level info
    start_scraping
    load_session 64 "$SECONDS_EACH"
    WATCHED=$(wrk_figure rate)
    kill -0 "${HELPERS[-1]}" 2>/dev/null || fail "the metrics could not be read"
    end_helper "${HELPERS[-1]}"
}

load_unwatched() {
    set_log_level error
    load_session 64 "$SECONDS_EACH"
    UNWATCHED=$(wrk_figure rate)
}

# Each of the two comes first in half of the rounds, of which there are more than of others, because
# the difference is small.
measure_watching() {
    local round

    : >"$WORK/rounds"
    for ((round = 1; round <= WATCHING_ROUNDS; round++)); do
        say "round $round of $WATCHING_ROUNDS: metrics and logs"
        if ((round % 2)); then
            load_watched
            load_unwatched
        else
            load_unwatched
            load_watched
        fi
        echo "$WATCHED $UNWATCHED" >>"$WORK/rounds"
    done
    row "i. session, 64 connections, with metrics and logs" "$(middle 1 0)" \
        "$(middle 2 0) (without)" "$(ratio 1 2)" ">= 0.97"
}
