#!/usr/bin/env bash
# Runs specs with `moongate test` (suite stock: with stock busted) and counts what busted says. Output is shown when
# something failed, or with V=1.
#   busted.sh VARIANT SUITE PATH...       paths without specs are left out; T=PATH takes their place
set -u
variant=$1 suite=$2
shift 2
read -ra picked <<<"${T-}"
[ ${#picked[@]} = 0 ] || set -- "${picked[@]}"
log=build/$variant/$suite.log
result=build/$variant/results/$suite

paths=()
for path; do
    [ -e "$path" ] && [ -n "$(find "$path" -name '*_spec.lua' -print -quit)" ] && paths+=("$path")
done
if [ ${#paths[@]} = 0 ]; then
    echo "0 0" >"$result"
    exit 0
fi

run=("build/$variant/moongate" test)
[ "$suite" != stock ] || run=("${0%/*}/stock.sh" "$MG_STAGE" busted)
limit=1200 # against what hangs; a slow machine is none
case $variant in asan | tsan) limit=2400 ;; esac
timeout -k 10 $limit "${run[@]}" --output=plainTerminal "${paths[@]}" >"$log" 2>&1 </dev/null
status=$?

# "12 successes / 1 failure / 0 errors / 2 pending : 0.01 seconds"
sum=$(grep -aE '^[0-9]+ success(es)? / [0-9]+ failures? / [0-9]+ errors? / [0-9]+ pending' "$log" | tail -n 1)
if [ -n "$sum" ]; then
    read -r passed _ _ failures _ _ errors _ _ pending _ <<<"$sum"
    failed=$((failures + errors))
    [ "$failed" != 0 ] || [ $status = 0 ] || failed=1
else
    passed=0 failed=1 pending=0
fi
if [ "$failed" != 0 ] || [ -n "${V-}" ]; then
    cat "$log"
    [ $status = 0 ] || echo "--- $suite: exit status $status$([ $status != 124 ] || echo ", not done after $limit s")"
fi
[ "$pending" = 0 ] || echo "$suite: $pending pending"
echo "$passed $failed" >"$result"
