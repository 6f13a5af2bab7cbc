#!/usr/bin/env bash
# Runs the unit tests of a variant and counts what cmocka says in TAP. A program that crashes, hangs (300 s) or runs no
# test counts as one more failure. T=<part of a name> picks some.
set -u
variant=$1
dir=build/$variant/unit
out=$dir/log
rm -rf "$out"
mkdir -p "$out"

programs=()
for name in ${UNITS-}; do # as the Makefile names them
    [[ $name == *"${T-}"* ]] && programs+=("$name")
done

run_one() {
    CMOCKA_MESSAGE_OUTPUT=tap timeout -k 5 300 "$1/$2" >"$1/log/$2" 2>&1 </dev/null
    echo $? >"$1/log/$2.status"
}
export -f run_one
[ ${#programs[@]} = 0 ] ||
    printf '%s\n' "${programs[@]}" | xargs -P "$(nproc)" -I{} bash -c "run_one $dir {}" 2>/dev/null # where bash says "Aborted"

passed=0 failed=0 pending=0
for name in ${programs[@]+"${programs[@]}"}; do
    status=$(cat "$out/$name.status")
    ok=$(grep -c '^ok ' "$out/$name")
    skipped=$(grep -c '^not ok [0-9]* # SKIP' "$out/$name") # that is how cmocka says it
    bad=$(($(grep -c '^not ok ' "$out/$name") - skipped))
    why=
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        why="does not end"
    elif [ "$status" -ge 126 ]; then
        why="crashed, status $status"
    elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
        why="exit status $status"
    elif [ $((ok + bad + skipped)) = 0 ]; then
        why="ran no test"
    fi
    [ -z "$why" ] || bad=$((bad + 1))
    passed=$((passed + ok)) failed=$((failed + bad)) pending=$((pending + skipped))
    if [ "$bad" != 0 ] || [ -n "${V-}" ]; then
        echo "--- $name${why:+: $why}"
        if [ -n "${V-}" ]; then cat "$out/$name"; else grep -av '^ok ' "$out/$name"; fi
    fi
done
[ $pending = 0 ] || echo "unit: $pending pending"
echo "$passed $failed" >"build/$variant/results/unit"
