#!/bin/sh
# `deepbind_test.sh LIBHAKMEM PROGRAM LIBRARY`: blocks that cross the border to a library with a malloc of its own.
hakmem=$(readlink -f "$1")
fail() {
  echo "$1"
  cat "$TEST_TMPDIR/out" "$TEST_TMPDIR/err"
  exit 1
}
run() {
  LD_PRELOAD=$hakmem HAKMEM_ON_ERROR=continue timeout 30 "$program" "$library" "$1" >"$TEST_TMPDIR/out" 2>"$TEST_TMPDIR/err" ||
    fail "$1: status $?"
  grep -qx "program's block is hakmem's" "$TEST_TMPDIR/out" || fail "$1: hakmem does not serve the program"
  grep -qx 'went on' "$TEST_TMPDIR/out" || fail "$1: the program did not go on"
}
program=$2
library=$3
# Opened plainly, a library gets hakmem's blocks, and there is no border.
run plain
grep -qx "library's block is hakmem's" "$TEST_TMPDIR/out" || fail 'plain: the block is not of hakmem'
[ ! -s "$TEST_TMPDIR/err" ] || fail 'plain: a message where none is due'
# With RTLD_DEEPBIND its blocks are the C library's. Freed by the program they are told and left alone.
run deep
grep -qx "library's block is the C library's" "$TEST_TMPDIR/out" || fail 'deep: RTLD_DEEPBIND had no effect'
grep -q '^hakmem: free(0x[0-9a-f]*): pointer that hakmem did not hand out' "$TEST_TMPDIR/err" || fail 'deep: not reported'
[ "$(grep -c "^hakmem: [^ ]" "$TEST_TMPDIR/err")" -eq 1 ] || fail "deep: more than one message"
