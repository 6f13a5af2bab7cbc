#!/usr/bin/env bash
# Runs suites of one variant, one after the other, and adds up.
#   suites.sh VARIANT SUITE...            unit, spec, stock, e2e, fuzz-replay
#   suites.sh VARIANT fuzz|fuzz-replay TARGET...
# Each suite prints `<suite>: N passed, N failed` and leaves the two numbers in build/<variant>/results/<suite>.
# With more than one suite the sum stands on the last line. Exits 1 when anything failed, or T picked nothing that ran.
set -u
cd "$(dirname "$0")/../.." || exit 1
variant=$1
shift
here=tests/run
case $1 in fuzz | fuzz-replay) suites=$1 && shift ;; *) suites=$* && set -- ;; esac

results=build/$variant/results
mkdir -p "$results"
for suite in $suites; do rm -f "$results/$suite"; done

. "$here/sanitizers.sh"
for suite in $suites; do
    begin_reports "$suite"
    case $suite in
    unit) "$here/unit.sh" "$variant" ;;
    spec) "$here/busted.sh" "$variant" spec tests/spec policies examples ;;
    stock) "$here/busted.sh" "$variant" stock tests/spec policies examples ;;
    e2e) "$here/busted.sh" "$variant" e2e tests/e2e ;;
    fuzz | fuzz-replay) "$here/fuzz.sh" "$suite" "$results" "$@" ;;
    *) echo "no suite '$suite'" >&2 && exit 2 ;;
    esac
    [ -f "$results/$suite" ] || echo "0 1" >"$results/$suite" # it broke down
    read -r passed failed <"$results/$suite"
    reported=$(end_reports "$suite")
    [ "$failed" != 0 ] || failed=$reported # what failed because of a report is not counted twice
    echo "$passed $failed" >"$results/$suite"
    echo "$suite: $passed passed, $failed failed"
done

sum_passed=0 sum_failed=0 count=0
for suite in $suites; do
    read -r passed failed <"$results/$suite"
    sum_passed=$((sum_passed + passed)) sum_failed=$((sum_failed + failed)) count=$((count + 1))
done
[ "$count" = 1 ] || echo "$sum_passed passed, $sum_failed failed"
if [ -n "${T-}" ] && [ $((sum_passed + sum_failed)) = 0 ]; then
    echo "T='$T' picked no test" >&2
    exit 1
fi
[ "$sum_failed" = 0 ]
