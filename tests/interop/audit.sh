#!/bin/sh
# Do other people's programs accept our audit log? openssl checks the checkpoint's signature; from npm
# @transmute/rfc9162 computes the root from the entries and checks proofs, @sigstore/verify checks
# checkpoint and inclusion. Each that is not installed is skipped, loudly.
#
# usage: tests/interop/audit.sh [LOGDIR...]     default: the test vectors, and as root a log made now by
#                                               an agentd of its own
# NODE_PATH names the node_modules with the npm packages (default: $BUILD/interop/node_modules).
set -eu
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
NODE_PATH=${NODE_PATH:-$PWD/$BUILD/interop/node_modules}
export NODE_PATH
tmp=$(mktemp -d)
supervisor=
passed=0
failed=0
skipped=0

# Ends only the daemon that this script started.
cleanup() {
    if [ -n "$supervisor" ]; then
        kill "$supervisor" 2>/dev/null || :
        wait "$supervisor" 2>/dev/null || :
    fi
    rm -rf "$tmp"
}
trap cleanup EXIT

pass() { passed=$((passed + 1)); echo "ok    $*"; }
fail() { failed=$((failed + 1)); echo "FAIL  $*"; }
skip() { skipped=$((skipped + 1)); echo "SKIP  $*" >&2; }

# The text of a note: up to the blank line before the signatures.
note_text() { sed -n '/^$/q;p' "$1"; }

# The Ed25519 key of a vkey as PEM: RFC 8410's prefix and the 32 bytes behind the type byte.
vkey_pem() {
    {
        printf '\060\052\060\005\006\003\053\145\160\003\041\000'
        sed 's/^[^+]*+[^+]*+//' "$1" | base64 -d | tail -c 32
    } | base64 | { echo '-----BEGIN PUBLIC KEY-----'; cat; echo '-----END PUBLIC KEY-----'; }
}

with_openssl() {
    log=$1
    origin=$(head -n 1 "$log/checkpoint")
    note_text "$log/checkpoint" >"$tmp/text"
    grep -F -- "— $origin " "$log/checkpoint" | head -n 1 | sed 's/.* //' | base64 -d |
        tail -c +5 >"$tmp/sig"
    vkey_pem "$log/log.vkey" >"$tmp/key.pem"
    if openssl pkeyutl -verify -pubin -inkey "$tmp/key.pem" -rawin -in "$tmp/text" \
        -sigfile "$tmp/sig" >/dev/null 2>&1; then
        pass "openssl accepts the signature of $log"
    else
        fail "openssl does not accept the signature of $log"
    fi
    echo x >>"$tmp/text"
    if openssl pkeyutl -verify -pubin -inkey "$tmp/key.pem" -rawin -in "$tmp/text" \
        -sigfile "$tmp/sig" >/dev/null 2>&1; then
        fail "openssl accepts the signature of $log for another text"
    else
        pass "openssl refuses the signature of $log for another text"
    fi
}

with_node() {
    package=$1
    log=$2
    if ! command -v node >/dev/null; then
        skip "$package on $log: node is not installed"
    elif [ ! -d "$NODE_PATH/$package" ]; then
        skip "$package on $log: not in $NODE_PATH"
    elif node tests/interop/audit.js "$package" "$log"; then
        pass "$package accepts $log"
    else
        fail "$package does not accept $log"
    fi
}

check() {
    if command -v openssl >/dev/null; then
        with_openssl "$1"
    else
        skip "openssl on $1: not installed"
    fi
    with_node @transmute/rfc9162 "$1"
    with_node @sigstore/verify "$1"
}

# A log as it comes from the daemon, with a stop record at its end.
make_log() {
    mkdir -m 755 "$tmp/root"
    chmod 755 "$tmp"
    "$BUILD/agentd-supervisor" --root "$tmp/root" >"$tmp/out" 2>&1 &
    supervisor=$!
    for _ in $(seq 100); do
        grep -q ready "$tmp/out" && break
        sleep 0.1
    done
    mkdir "$tmp/ws"
    for _ in 1 2 3; do
        (cd "$tmp/ws" && AGENTD_ROOT="$tmp/root" "$PWD_BUILD/agentctl" run -- true) || :
    done
    kill "$supervisor"
    wait "$supervisor" 2>/dev/null || :
    supervisor=
}

if [ $# -gt 0 ]; then
    for log in "$@"; do check "$log"; done
else
    check tests/vectors/audit/v5
    check tests/vectors/audit/v600
    if [ "$(id -u)" -ne 0 ]; then
        skip "a log made now: needs root to start agentd"
    elif [ ! -x "$BUILD/agentd-supervisor" ]; then
        skip "a log made now: agentd is not built in $BUILD"
    else
        PWD_BUILD=$(cd "$BUILD" && pwd)
        make_log
        check "$tmp/root/var/lib/agentd/audit"
    fi
fi
echo "interop: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
