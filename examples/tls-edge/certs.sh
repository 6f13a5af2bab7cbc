#!/usr/bin/env bash
# Makes a CA and the certificates of this example: certs.sh [FOLDER], by default certs/ beside it. Does nothing when they
# are there and good for another month; else it makes all of them again. Needs openssl 3.
set -eu
to=${1:-$(dirname "$0")/certs}
days=365

is_good() {
    local name
    for name in ca clients-ca shop api backend gateway ann eve; do
        [ -s "$to/$name.key" ] || return 1
        openssl x509 -in "$to/$name.pem" -noout -checkend $((31 * 86400)) >/dev/null 2>&1 || return 1
    done
}

if is_good; then exit 0; fi

umask 077 # keys
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

# The extensions of each kind; openssl's own config might add others.
cat >"$new/openssl.cnf" <<'C'
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
authorityKeyIdentifier = keyid
extendedKeyUsage = serverAuth
[client]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
authorityKeyIdentifier = keyid
extendedKeyUsage = clientAuth
C

EC="ec -pkeyopt ec_paramgen_curve:P-256"
RSA="rsa:2048"

# make KIND NAME KEY SUBJECT [OPTION...]
make() {
    local kind=$1 name=$2 key=$3 subject=$4
    shift 4
    # shellcheck disable=SC2086 # a key is several words
    openssl req -x509 -config "$new/openssl.cnf" -extensions "$kind" -newkey $key -nodes -sha256 -days $days \
        -keyout "$new/$name.key" -out "$new/$name.pem" -subj "$subject" "$@" 2>"$new/log" || {
        cat "$new/log" >&2
        exit 1
    }
}

by() { # what makes a CA sign
    echo -CA "$new/$1.pem" -CAkey "$new/$1.key"
}

make ca ca "$EC" "/CN=Moongate example CA"
make ca clients-ca "$EC" "/CN=Moongate example clients"
# shellcheck disable=SC2046 # options are several words
{
    make server shop "$EC" "/CN=shop.localhost" $(by ca) -addext "subjectAltName=DNS:shop.localhost"
    make server api "$RSA" "/CN=api.localhost" $(by ca) -addext "subjectAltName=DNS:api.localhost,DNS:*.api.localhost"
    make server backend "$EC" "/CN=backend.internal" $(by ca) -addext "subjectAltName=DNS:backend.internal"
    make client gateway "$EC" "/CN=gateway" $(by ca)
    make client ann "$EC" "/CN=ann" $(by clients-ca) -addext "subjectAltName=email:ann@shop.example"
    make client eve "$EC" "/CN=eve" $(by clients-ca)
}

rm -f "$new/openssl.cnf" "$new/log"
mkdir -p "$to"
mv -f "$new"/*.pem "$new"/*.key "$to"
echo "certificates are in $to"
