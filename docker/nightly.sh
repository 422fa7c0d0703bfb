#!/bin/sh
# Runs `hindsight nightly` once a day at HINDSIGHT_NIGHTLY_AT (UTC, HH:MM), for ever. The health check looks at /tmp/failed:
# it is there from a run that failed to the next one that does not.
set -eu
at=${HINDSIGHT_NIGHTLY_AT:-02:00}
trap 'exit 0' TERM INT

while :; do
    now=$(date -u +%s)
    next=$(date -u -d "$(date -u +%F) $at" +%s)
    [ "$next" -gt "$now" ] || next=$((next + 86400))
    echo "nightly: the next run is at $(date -u -d "@$next" +%FT%TZ)" >&2
    # In the background, so that a signal is heard at once.
    sleep $((next - now)) &
    wait $!
    if hindsight nightly; then rm -f /tmp/failed; else touch /tmp/failed; fi
done
