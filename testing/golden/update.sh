#!/bin/sh
# Rewrites the golden files in the source tree: bazel run --config=release //testing/golden:update
if [ -z "${BUILD_WORKSPACE_DIRECTORY:-}" ]; then
  echo "run it by: ./bazelw run --config=release //testing/golden:update" >&2
  exit 2
fi
exec "$@" --update --golden="$BUILD_WORKSPACE_DIRECTORY/testing/golden"
