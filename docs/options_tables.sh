#!/bin/sh
# The tables of options in README.md and docs/options.md are what docs:options_page prints from hakmem/config/options.h.
#
#   options_tables.sh check OPTIONS_PAGE README OPTIONS_MD    fails when a page is out of date
#   options_tables.sh update OPTIONS_PAGE                     rewrites them in the source tree
#
# A table stands between the lines `<!-- options -->` and `<!-- end of options -->`.
set -eu

# with_table PAGE FORM: the page on standard output, its table made anew.
with_table() {
  "$options_page" "$2" >"$work/table"
  awk -v table="$work/table" '
    /^<!-- end of options -->$/ { inside = 0 }
    !inside { print }
    /^<!-- options -->$/ { inside = 1; found++; while ((getline line < table) > 0) print line }
    END { exit found != 1 || inside }
  ' "$1" || { echo "$1: no lines <!-- options --> and <!-- end of options --> in it" >&2; exit 1; }
}

mode=$1 options_page=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$mode" = update ]; then
  tree=${BUILD_WORKSPACE_DIRECTORY:?"run it by: ./bazelw run //docs:update_options"}
  set -- "$tree/README.md" "$tree/docs/options.md"
else
  set -- "$3" "$4"
fi

form=short
for page in "$@"; do
  with_table "$page" "$form" >"$work/page"
  if [ "$mode" = update ]; then
    cmp -s "$work/page" "$page" || { cat "$work/page" >"$page"; echo "updated $page"; }
  elif ! diff -u "$page" "$work/page"; then
    echo "$page does not show the options of hakmem/config/options.h. Run: ./bazelw run //docs:update_options" >&2
    exit 1
  fi
  form=full
done
