#!/usr/bin/env bash
# Runs a stock Lua 5.4, or stock busted in it, which finds what `make install DESTDIR=ROOT` has put into place.
#   stock.sh ROOT lua|busted ARGUMENT...
set -eu
root=$(cd "$1" && pwd) what=$2
shift 2
unset LUA_PATH LUA_CPATH LUA_INIT LUA_PATH_5_4 LUA_CPATH_5_4 LUA_INIT_5_4

# Where this Lua looks in the system, but below ROOT; `;;` stands for all its own places.
below() {
    ROOT=$root lua5.4 -e "for place in package.$1:gmatch '[^;]+' do
        if place:sub(1, 1) == '/' then io.write(os.getenv 'ROOT', place, ';') end
    end"
}
LUA_PATH="$(below path);"
LUA_CPATH="$(below cpath);"
export LUA_PATH LUA_CPATH

# Debian's busted asks for `lua`, which may be another version.
[ "$what" != busted ] || set -- "$(command -v busted)" "$@"
exec lua5.4 "$@"
