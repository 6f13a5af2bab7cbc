#!/usr/bin/env bash
# Runs a redis-server of Debian's on port 6390 of the loopback, which keeps nothing on disk, and two gateways on ports
# 8080 and 8081 that count in it. Ctrl-C ends all of them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
MOONGATE=${MOONGATE:-$here/../../build/moongate}
export REDIS=${REDIS:-127.0.0.1:6390}
command -v redis-server >/dev/null || { echo "run.sh: needs redis-server (apt install redis-server)" >&2; exit 1; }
[ -x "$MOONGATE" ] || make -C "$here/../.."

trap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT
trap 'exit 0' INT TERM
redis-server --bind "${REDIS%:*}" --port "${REDIS##*:}" --save '' --appendonly no --loglevel warning &
PORT=8080 SHOP_PORT=9101 "$MOONGATE" run -c "$here/moongate.yaml" &
first=$!
PORT=8081 SHOP_PORT=9102 "$MOONGATE" run -c "$here/moongate.yaml" &
wait $first # not in the foreground: a signal to this script would wait for its end
