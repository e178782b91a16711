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

# Prints nothing; the rate is wrk's last.
load_watched() {
    set_log_level info
    start_scraping
    load_session 64 "$SECONDS_EACH"
    kill -0 "$SCRAPE_PID" 2>/dev/null || fail "the metrics could not be read"
    end_helper "$SCRAPE_PID"
}

load_unwatched() {
    set_log_level error
    load_session 64 "$SECONDS_EACH"
}

# Each of the two comes first in half of the rounds, of which there are twice as many as of others,
# because the difference is small.
measure_watching() {
    local round watched unwatched

    : >"$WORK/rounds"
    for ((round = 1; round <= ROUNDS * 2; round++)); do
        say "round $round of $((ROUNDS * 2)): metrics and logs"
        if ((round % 2)); then
            load_watched
            watched=$(wrk_figure rate)
            load_unwatched
            unwatched=$(wrk_figure rate)
        else
            load_unwatched
            unwatched=$(wrk_figure rate)
            load_watched
            watched=$(wrk_figure rate)
        fi
        echo "$watched $unwatched" >>"$WORK/rounds"
    done
    row "i. session, 64 connections, with metrics and logs" "$(middle 1 0)" \
        "$(middle 2 0) (without)" "$(ratio 1 2)" ">= 0.97"
}
