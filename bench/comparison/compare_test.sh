#!/bin/sh
# Runs the tests of the comparison's scripts; a machine without python3 cannot compare at all, so that is a failure.
BENCH="$PWD/bench" HAKMEM="$PWD/hakmem/libhakmem.so" exec python3 -B "$PWD/bench/comparison/compare_test.py"
