#!/bin/sh
# `limited_test.sh LIBRARY PROGRAM`: under a limit of address space or of data most of it is there for the program.
library=$(readlink -f "$1")
failed=0
# Of which limit, in KiB, with blocks of how many bytes, how many MiB there have to be; guard builds have what they write
# around blocks out of it.
while read -r which limit size least; do
  had=$(ulimit "-$which" "$limit"; LD_PRELOAD=$library "$2" "$size" 2>&1)
  case $had in
    *[!0-9]* | '') ok=0 ;;
    *) ok=$((had >= least)) ;;
  esac
  if [ "$ok" -eq 0 ]; then
    echo "ulimit -$which $limit, blocks of $size bytes: '$had', should be $least MiB at least"
    failed=1
  fi
done <<END
v 75000 1000 35
v 100000 1000 50
v 100000 70000 45
v 150000 1000 85
v 300000 1000 180
v 1000000 1000 650
d 80000 1000 40
d 200000 5000 110
END
exit $failed
