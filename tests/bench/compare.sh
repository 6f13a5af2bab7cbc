#!/usr/bin/env bash
# This gateway beside nginx, both as a plain proxy with one worker, with what Debian has: nginx-light, wrk.
#   tests/bench/compare.sh [proxy|policy] [ROUNDS] [SECONDS]
# Prints for each round requests a second and CPU microseconds a request; see README.md for how to read them.
set -eu
cd "$(dirname "$0")/../.."
kind=${1:-proxy} rounds=${2:-3} seconds=${3:-5}
backend_port=18080 nginx_port=18081 our_port=18082

PATH=$PATH:/usr/sbin
for tool in nginx wrk taskset setsid; do
    command -v $tool >/dev/null || {
        echo "$tool is missing; apt-get install nginx-light wrk util-linux" >&2
        exit 1
    }
done
case $kind in proxy | policy) ;; *) echo "compare.sh: proxy or policy, not '$kind'" >&2 && exit 1 ;; esac

scratch=$(mktemp -d)
sessions=()
finish() {
    for session in ${sessions[@]+"${sessions[@]}"}; do kill -TERM -- "-$session" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT

nginx_config() { # name, server block
    mkdir -p "$scratch/$1"
    cat >"$scratch/$1/nginx.conf" <<C
worker_processes 1;
daemon off;
pid $scratch/$1/pid;
error_log $scratch/$1/error.log error;
events { worker_connections 4096; }
http {
  access_log off;
  default_type application/json;
  keepalive_requests 100000000;
  client_body_temp_path $scratch/$1/t1; proxy_temp_path $scratch/$1/t2; fastcgi_temp_path $scratch/$1/t3;
  uwsgi_temp_path $scratch/$1/t4; scgi_temp_path $scratch/$1/t5;
  upstream origin { server 127.0.0.1:$backend_port; keepalive 256; keepalive_requests 100000000; }
  proxy_http_version 1.1;
  $2
}
C
}

# Each runs in a session of its own, so that all its processes can be found. Sets $session.
start() { # processor, command...
    local processor=$1
    shift
    setsid taskset -c "$processor" "$@" >"$scratch/log" 2>&1 &
    session=$!
    sessions+=("$session")
}

wait_for() { # port
    for _ in $(seq 100); do
        if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.05
    done
    cat "$scratch/log" >&2
    echo "nothing listens on port $1" >&2
    exit 1
}

cpu_ticks() { # of all processes of a session
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) (.*) /\1 x /' |
        awk -v session="$1" '$6 == session { n += $14 + $15 } END { print n + 0 }'
}

measure() { # name, session, port
    local before after out requests rate
    before=$(cpu_ticks "$2")
    out=$(taskset -c "$load_cpu" wrk -t 1 -c 64 -d "${seconds}s" \
        -H 'X-Client-Id: c1' -H 'X-Tier: gold' "http://127.0.0.1:$3/json")
    after=$(cpu_ticks "$2")
    requests=$(awk '/ requests in / { print $1 }' <<<"$out")
    rate=$(awk '/^Requests\/sec/ { print $2 }' <<<"$out")
    if grep -q 'Non-2xx\|Socket errors' <<<"$out"; then echo "$1: $(grep 'Non-2xx\|Socket errors' <<<"$out")" >&2; fi
    awk -v name="$1" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v requests="$requests" -v rate="$rate" \
        'BEGIN { printf "%-9s %9.0f req/s  %6.2f us CPU a request\n", name, rate, ticks / hz * 1e6 / requests }'
}

gateway_cpu=0
load_cpu=$(($(nproc) > 1 ? 1 : 0))

json=$(printf '{"text":"%0188d"}' 0) # 200 bytes
nginx_config backend "server { listen 127.0.0.1:$backend_port backlog=4096; location / { return 200 '$json'; } }"
headers=
if [ "$kind" = policy ]; then
    headers="proxy_set_header X-Consumer \"\$http_x_client_id:\$http_x_tier\"; proxy_set_header X-Plan \"plan-\$http_x_tier\";
      add_header X-Served-For \$http_x_client_id;"
fi
nginx_config nginx "server { listen 127.0.0.1:$nginx_port backlog=4096;
    location / { proxy_set_header Connection \"\"; $headers proxy_pass http://origin; } }"

start $load_cpu nginx -p "$scratch/backend" -c "$scratch/backend/nginx.conf"
wait_for $backend_port
start $gateway_cpu nginx -p "$scratch/nginx" -c "$scratch/nginx/nginx.conf"
nginx=$session
wait_for $nginx_port
mkdir -p "$scratch/ours"
start $gateway_cpu env KIND="$kind" PORT=$our_port ORIGIN=127.0.0.1:$backend_port SCRATCH="$scratch/ours" \
    tests/bench/peer/start
ours=$session
wait_for $our_port

for round in $(seq "$rounds"); do
    echo "round $round"
    measure nginx "$nginx" $nginx_port
    measure moongate "$ours" $our_port
done
