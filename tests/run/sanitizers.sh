# shellcheck shell=bash disable=SC2154
# Sourced by suites.sh. Options of the sanitizers, and what they found.
#
# In spec and e2e they go to files, so that those of a gateway which a spec started are seen too, and count as
# failures even where the spec did not notice.
reports=$PWD/build/$variant/reports
leaks=0

case $variant in
asan | fuzz)
    # Looking for leaks needs ptrace, which some containers forbid. A program without leaks tells.
    probe=build/asan/leak-probe
    mkdir -p build/asan
    [ -x $probe ] || echo 'int main(void) { return 0; }' | clang -fsanitize=address -x c -o $probe - 2>/dev/null
    if ASAN_OPTIONS=detect_leaks=1 $probe >/dev/null 2>&1; then
        leaks=1
    else
        echo "note: leaks are not looked for, ptrace is not permitted here"
    fi
    ;;
esac

suppressions() { # of a tool, where there are some
    [ ! -f "tests/run/$1.supp" ] || echo ":suppressions=$PWD/tests/run/$1.supp"
}

# Shadow memory of the sanitizers has a fixed place, which the kernel's address randomisation may take.
if [ "$variant" != release ] && [ -z "${MG_FIXED_ADDRESSES-}" ] && setarch -R true 2>/dev/null; then
    export MG_FIXED_ADDRESSES=1
    exec setarch -R "$here/suites.sh" "$variant" ${suites:+$suites} "$@"
fi

begin_reports() { # of a suite
    rm -rf "$reports"
    mkdir -p "$reports"
    local common=halt_on_error=1
    case $1 in spec | e2e) common="$common:log_path=$reports/report" ;; esac
    export ASAN_OPTIONS="$common:detect_leaks=$leaks:detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1"
    export UBSAN_OPTIONS="$common:print_stacktrace=1"
    TSAN_OPTIONS="$common:second_deadlock_stack=1$(suppressions tsan)"
    LSAN_OPTIONS="print_suppressions=0$(suppressions lsan)"
    export TSAN_OPTIONS LSAN_OPTIONS
}

# Prints the number of reports; shows them on standard error.
end_reports() {
    local n=0 file
    for file in "$reports"/report.*; do
        [ -s "$file" ] || continue
        n=$((n + 1))
        { echo "$1: sanitizer report:" && cat "$file"; } >&2
    done
    echo "$n"
}
