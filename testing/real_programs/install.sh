#!/bin/sh
# Installs the Debian packages given, or else those whose programs the tests of this directory run. Says nothing when all
# are there.
set -eu
packages="clang-19 g++ gcc git libpython3.11-testsuite lld-19 lua5.4 perl python3 redis-server redis-tools sqlite3 xz-utils zstd
gdb heaptrack linux-perf strace valgrind"
[ $# -eq 0 ] || packages=$*
missing=
for package in $packages; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing from Debian's archive:$missing"
as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "root is needed to install:$missing" >&2; exit 1; }
  as_root=sudo
fi
# The tests start servers of their own. A service that a package brings is not to be started for their sake.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod 755 "$policy"
  trap '$as_root rm -f "$policy"' EXIT
fi
install() {
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}
install || { $as_root apt-get update -q && install; }
