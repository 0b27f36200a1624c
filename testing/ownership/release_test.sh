#!/bin/bash
# The release library contains neither the seam for faults nor the ownership assertion. The test of the assertion in other
# builds is seeded_fault_test.sh.
# usage: release_test.sh LIBRARY STRESS
set -u
library=$1 stress=$2
failed=0
for file in "$library" "$stress"; do
  # What has to be there shows that the search works.
  for word in hak_malloc 'pointer that hakmem did not hand out'; do
    grep -aq "$word" "$file" || { echo "FAILED: $file does not contain '$word'" >&2; failed=1; }
  done
  for word in SeededFaults hakmem_seeded_fault 'fatal: ownership' CheckClaimant; do
    if grep -aq "$word" "$file"; then
      echo "FAILED: $file contains '$word'" >&2
      failed=1
    fi
  done
done
exit $failed
