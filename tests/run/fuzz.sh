#!/usr/bin/env bash
# Runs fuzz targets: `fuzz` for FUZZ_SECONDS each on a copy of the corpus that it may add to, `fuzz-replay` once
# over the corpus as it is. What it finds is kept in build/fuzz/findings/.
#   fuzz.sh fuzz|fuzz-replay RESULTS [TARGET...]
set -u
suite=$1 results=$2
shift 2
if [ $# = 0 ]; then
    for source in tests/fuzz/*_fuzz.c; do
        source=${source#tests/fuzz/}
        [ ! -f "tests/fuzz/$source" ] || set -- "$@" "${source%_fuzz.c}"
    done
fi
export suite home=build/fuzz
mkdir -p $home/log $home/findings

run_one() {
    local name=$1 seeds=tests/fuzz/corpus/$1 work=$home/corpus/$1 options=()
    [ ! -f "tests/fuzz/$name.dict" ] || options+=("-dict=tests/fuzz/$name.dict")
    mkdir -p "$work"
    [ ! -d "$seeds" ] || cp -R "$seeds/." "$work/"
    if [ "$suite" = fuzz ]; then
        options+=(-timeout=10 "-max_total_time=$FUZZ_SECONDS" "$work")
    else
        options+=(-timeout=100 -runs=0) # these inputs are known, and the machine may be slow
        if [ -d "$seeds" ]; then options+=("$seeds"); else options+=("$work"); fi
    fi
    "$home/targets/$name" -rss_limit_mb=1024 -print_final_stats=1 \
        "-artifact_prefix=$home/findings/$name-" "${options[@]}" >"$home/log/$name" 2>&1 </dev/null
    echo $? >"$home/log/$name.status"
}
export -f run_one
[ $# = 0 ] || printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'run_one {}'

passed=0 failed=0
for name; do
    if [ "$(cat $home/log/"$name".status)" = 0 ]; then
        passed=$((passed + 1))
        if [ "$suite" = fuzz ]; then
            runs=$(sed -n 's/^stat::number_of_executed_units: *//p' $home/log/"$name")
            echo "  $name: clean after $runs runs"
        fi
    else
        failed=$((failed + 1))
        echo "--- $name: finding" && tail -n 60 $home/log/"$name"
    fi
done
echo "$passed $failed" >"$results/$suite"
