#!/usr/bin/env bash
# Makes what is missing, the program and the certificates, and runs the example on ports 8080 and 8443.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
MOONGATE=${MOONGATE:-$here/../../build/moongate}
[ -x "$MOONGATE" ] || make -C "$here/../.."
"$here/certs.sh"
exec "$MOONGATE" run -c "$here/moongate.yaml" "$@"
