#!/bin/sh
# Runs a program with a library preloaded: `preloaded.sh LIBRARY PROGRAM ARGS…`.
library=$(readlink -f "$1") || exit 2
shift
LD_PRELOAD=$library exec "$@"
