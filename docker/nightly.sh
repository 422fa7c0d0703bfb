#!/bin/sh
# Runs `hindsight nightly` once a day at HINDSIGHT_NIGHTLY_AT (UTC, HH:MM), for ever. A night that was missed because the
# container was down, or that failed before it was started anew, is made up for at the start. The health check looks at
# /tmp/failed: it is there from a run that failed to the next one that does not.
set -eu
at=${HINDSIGHT_NIGHTLY_AT:-02:00}
failed=${HINDSIGHT_NIGHTLY_FAILED:-/tmp/failed}
# When the last run that did not fail was due, seconds since 1970; on the volume, so that it outlives the container.
done=${ANALYTICS_DATA_DIR:-/var/lib/hindsight}/nightly/last-run
child=

# What is waited for is in the background, so that a signal is heard at once; it is passed on.
stop() {
    trap '' TERM INT
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    exit 0
}
trap stop TERM INT

# The last time before now at which a run was due.
due() {
    now=$(date -u +%s)
    last=$(date -u -d "$(date -u +%F) $at" +%s)
    [ "$last" -le "$now" ] || last=$((last - 86400))
}

due
mkdir -p "$(dirname "$done")"
[ -e "$done" ] || echo "$last" >"$done" # the first start of all: nothing was missed
while :; do
    due
    if [ "$(cat "$done")" -lt "$last" ] && [ "${tried:-0}" -lt "$last" ]; then
        tried=$last
        hindsight nightly &
        child=$!
        if wait "$child"; then
            rm -f "$failed"
            echo "$last" >"$done"
        else
            touch "$failed"
        fi
        child=
        continue
    fi
    next=$((last + 86400))
    [ "${said:-0}" -eq "$next" ] || echo "nightly: the next run is at $(date -u -d "@$next" +%FT%TZ)" >&2
    said=$next
    # Not all at once: a machine that slept, or whose clock was put right, is late by minutes at most.
    left=$((next - now))
    sleep $((left < 300 ? left : 300)) &
    child=$!
    wait "$child"
    child=
done
