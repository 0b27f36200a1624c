#!/bin/bash
# The soak in each build, one after the other; flags are those of //testing:soak, --minutes for each build.
cd "${BUILD_WORKSPACE_DIRECTORY:?run it with ./bazelw run}" || exit 1
status=0
for config in release "" guard asan tsan ubsan; do
  ./bazelw run --noshow_progress --ui_event_filters=-info ${config:+--config=$config} //testing:soak -- "$@" || status=1
done
exit $status
