#!/usr/bin/env bash
# Runs a command with a Docker daemon that answers: the one that is there, else one started here (root only) and ended after it.
set -euo pipefail

if docker info >/dev/null 2>&1 || [ "$(id -u)" != 0 ] || ! command -v dockerd >/dev/null; then
    docker info >/dev/null 2>&1 || echo 'with-docker: no Docker daemon answers and none can be started here' >&2
    exec "$@"
fi

log=$(mktemp)
echo "with-docker: starting a Docker daemon (log: $log)" >&2
dockerd >"$log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 150); do
    docker info >/dev/null 2>&1 && break
    kill -0 "$daemon" 2>/dev/null || { echo 'with-docker: dockerd ended:' >&2; tail -n 5 "$log" >&2; break; }
    sleep 0.2
done
"$@"
