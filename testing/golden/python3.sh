#!/bin/sh
# Runs a Python script of this tree: `python3.sh SCRIPT ARGS…`. A test names the interpreter of the system, whatever else
# stands on PATH, and leaves no byte code behind in the source tree.
if [ ! -x /usr/bin/python3 ]; then
  echo "/usr/bin/python3 is missing; install it with: apt-get install python3" >&2
  exit 2
fi
exec /usr/bin/python3 -B "$@"
