#!/bin/sh
# C++ sources as clang-format prints them (.clang-format).
#
#   format.sh check CONFIG    fails when a file differs; CONFIG is the tree's .clang-format, whose folder is looked through
#   format.sh update          formats the files of the source tree in place
set -u

# Versions of clang-format differ in what they print, so only this one is asked. bazelw installs it beside clang-19.
tool=clang-format-19
if ! command -v "$tool" >/dev/null; then
  if [ "$1" = check ] && ! command -v clang-19 >/dev/null; then
    echo "there is neither clang-19 nor $tool here: the formatting is not looked at"
    exit 0
  fi
  echo "$tool is missing; install it with: apt-get install $tool" >&2
  exit 1
fi

case $1 in
  check) tree=$(dirname "$(readlink -f "$2")") flags="--dry-run -Werror" ;;
  *) tree=${BUILD_WORKSPACE_DIRECTORY:?"run it by: ./bazelw run //tools:format"} flags=-i ;;
esac
list=$(mktemp) || exit 1
trap 'rm -f "$list"' EXIT
find "$tree/." \( -name 'bazel-*' -o -name third_party -o -name '.?*' \) -prune -o \( -name '*.cc' -o -name '*.h' \) -print0 >"$list"
if [ ! -s "$list" ]; then
  echo "no sources below $tree" >&2
  exit 1
fi
# shellcheck disable=SC2086
xargs -0 -n 32 -P 2 "$tool" $flags <"$list" && exit 0
echo "not as $tool prints it. Run: ./bazelw run //tools:format" >&2
exit 1
