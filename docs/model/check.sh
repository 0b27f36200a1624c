#!/bin/sh
# Checks the model with spin(1): check.sh MODEL holds|refuted FLAG...
#
# holds: no interleaving breaks an assertion or leaves a process stuck, and the search was complete. refuted: an assertion is
# broken. The flags, such as -DFAULT=3, choose the variant.
set -u
model=$(readlink -f "$1") expected=$2
shift 2
fewest_states=10000  # a model that holds and has fewer is broken itself

if ! command -v spin >/dev/null; then
  echo "spin is missing, which checks this model. Install Debian's package of that name: ./bazelw run //docs/model:install" >&2
  exit 1
fi
for compiler in clang-19 clang cc ''; do
  ! command -v "$compiler" >/dev/null || break
done
[ -n "$compiler" ] || { echo "a C compiler is missing, which spin needs: apt-get install clang-19" >&2; exit 1; }

work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/spin.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
if ! spin -a "$@" "$model" >spin.out 2>&1 || ! [ -e pan.c ]; then
  cat spin.out
  echo "spin does not take the model"
  exit 1
fi
# No warnings: the verifier that spin writes has its own habits. Unoptimised, because it compiles for longer than it runs.
"$compiler" -O0 -w -DSAFETY -DCOLLAPSE -o pan pan.c || exit 1
./pan -m100000 >pan.out 2>&1
cat pan.out

states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.out)
errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.out)
case $expected in
  holds)
    if [ "$errors" != 0 ]; then
      spin -t -p "$@" "$model" 2>&1 | tail -n 60
      echo "FAILED: an interleaving breaks the model; its end is above"
      exit 1
    fi
    if grep -q -e "max search depth too small" -e "out of memory" pan.out || [ "${states:-0}" -lt "$fewest_states" ]; then
      echo "FAILED: the search was not complete"
      exit 1
    fi
    ;;
  refuted)
    if [ "${errors:-0}" = 0 ] || ! grep -q "assertion violated" pan.out; then
      echo "FAILED: the seeded fault is not found"
      exit 1
    fi
    ;;
  *) echo "unknown expectation: $expected" >&2; exit 2 ;;
esac
