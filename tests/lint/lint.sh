#!/usr/bin/env bash
# The parts of `make lint` that are not make rules. Runs all of them, prints what they find, exits 1 on any finding.
set -u
cd "$(dirname "$0")/../.." || exit 1
wrong=0

files() { # with one of the given endings
    local args=() ending
    for ending; do args+=(-o -name "*$ending"); done
    find src lua policies examples tests -type f \( "${args[@]:1}" \) -not -path 'tests/fuzz/corpus/*' 2>/dev/null | sort
}

{ files .c .h .lua .sh .md .yaml && ls Makefile README.md 2>/dev/null; } |
    lua5.4 tests/lint/lint.lua "$PWD" || wrong=1

mapfile -t lua_files < <(files .lua)
if [ ${#lua_files[@]} != 0 ]; then
    luacheck --quiet --formatter plain -- "${lua_files[@]}" || wrong=1
fi

mapfile -t c_files < <(files .c .h)
if command -v clang-format >/dev/null && [ ${#c_files[@]} != 0 ]; then
    # One line for each file is enough: the tool itself puts it right.
    unformatted=$(clang-format --dry-run -Werror "${c_files[@]}" 2>&1 | grep -E '^[^ ]+:[0-9]+:[0-9]+: error' |
        awk -F: '!seen[$1]++ { print $1 ":" $2 ": not in our format; run make format" }')
    if [ -n "$unformatted" ]; then
        echo "$unformatted"
        wrong=1
    fi
fi

for script in $(files .sh) .ci/run; do
    bash -n "$script" || wrong=1
done

if [ $wrong = 0 ]; then echo "lint: clean"; else echo "lint: not clean" >&2; fi
exit $wrong
