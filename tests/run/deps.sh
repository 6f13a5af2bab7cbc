#!/bin/sh
# Installs the Debian packages among its arguments that are missing. `make` calls it before it builds or tests.
# As another user than root it says which command to give, and fails.
set -u

if ! command -v dpkg-query >/dev/null; then
    mkdir -p build
    if [ ! -f build/.deps-told ]; then
        echo "This is not a Debian system. Needed are what Debian 12 calls: $*" >&2
        : >build/.deps-told
    fi
    exit 0
fi

mkdir -p build
exec 9>build/.deps-lock && flock 9 # one at a time, under make -j too

installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "$@" 2>/dev/null)"
missing=
for package in "$@"; do
    case $installed in
    *" installed:$package "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "Packages are missing. Install them with:" >&2
    echo "  sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing$missing"
install() {
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends $missing </dev/null 9>&-
}
# The lists of packages are fetched only where what is there does not do.
{ install || { apt-get -qq -o Acquire::Retries=3 update && install; }; } >build/deps.log 2>&1 || {
    cat build/deps.log >&2
    echo "Could not install:$missing (what apt-get said is above)" >&2
    exit 1
}
