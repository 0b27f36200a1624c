#!/bin/sh
# `early_test.sh LIBRARY|- PROGRAM`: calls before constructors run are served, and the options hold for them.
library=$1
[ "$library" = - ] && library= || library=$(readlink -f "$library")
fail() {
  echo "$1"
  cat "$TEST_TMPDIR/out" "$TEST_TMPDIR/err"
  exit 1
}
LD_PRELOAD=$library HAKMEM_VERBOSE=1 HAKMEM_TINY_FAST_CAP=17 "$2" >"$TEST_TMPDIR/out" 2>"$TEST_TMPDIR/err" || fail "status $?"
[ "$(cat "$TEST_TMPDIR/out")" = 'early calls were served' ] || fail 'not served'
grep -q '^hakmem: HAKMEM_TINY_FAST_CAP=17 ' "$TEST_TMPDIR/err" || fail 'the options were not read'
[ -z "$library" ] && exit 0
# Preloaded, hakmem has its environment from the loader, however long that is.
long=$(head -c 100000 /dev/zero | tr '\0' x)
LD_PRELOAD=$library A_LONG_ONE=$long HAKMEM_VERBOSE=1 HAKMEM_TINY_FAST_CAP=18 "$2" >"$TEST_TMPDIR/out" 2>"$TEST_TMPDIR/err" ||
  fail "status $?"
grep -q '^hakmem: HAKMEM_TINY_FAST_CAP=18 ' "$TEST_TMPDIR/err" || fail 'the options after 100,000 bytes were not read'
