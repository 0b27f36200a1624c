#!/bin/sh
# A short run of larson_stress has to pass.
# usage: passes_test.sh LARSON_STRESS MODE
exec "$1" "$2" --seconds=4 --threads=6
