"""Counts what Bazel reported about the stages of .ci/run.

usage: results.py DIRECTORY STAGE...

DIRECTORY holds for each stage its exit status, STAGE.status, and, when it was a `bazel test`, the events that Bazel wrote,
STAGE.json (--build_event_json_file). Prints a line for each thing that failed, then `N passed, M failed`. The exit status
is 0 when nothing failed and something passed.

A test target counts once for each stage. Whatever was to be built and was not counts as failed too, and so does a stage
that failed although nothing in it did, or in which no test ran.
"""

import json
import os
import sys


def read_events(path):
    """Yields the events of a file, which ends in the middle of a line when Bazel was killed."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                return


def count_events(events):
    """Returns the set of labels that passed, and a dictionary from what failed to why."""
    passed = set()
    failed = {}
    for event in events:
        identity = event.get("id", {})
        if "testSummary" in identity:
            label = identity["testSummary"].get("label", "?")
            status = event.get("testSummary", {}).get("overallStatus", "NO_STATUS")
            if status == "PASSED":
                passed.add(label)
            else:
                failed[label] = status.lower().replace("_", " ")
        elif "targetCompleted" in identity:
            label = identity["targetCompleted"].get("label", "?")
            if not event.get("completed", {}).get("success", False):
                failed.setdefault(label, "not built")
        elif "pattern" in identity and "aborted" in event:
            failed["loading"] = event["aborted"].get("description", "aborted").split("\n")[0]
    return passed - set(failed), failed


def count_stage(directory, stage):
    """Returns how many passed in a stage, and a dictionary from what failed to why."""
    events = os.path.join(directory, stage + ".json")
    try:
        with open(os.path.join(directory, stage + ".status"), encoding="ascii") as text:
            status = int(text.read())
    except (OSError, ValueError):
        return 0, {"the stage": "did not run to its end"}
    if stage == "install":
        return 0, {"the stage": f"exit status {status}"} if status else {}
    passed, failed = set(), {}
    if os.path.exists(events):
        passed, failed = count_events(read_events(events))
    if status != 0 and not failed:
        failed["the stage"] = f"exit status {status} of bazel"
    if status == 0 and not passed:
        failed["the stage"] = "no test ran"
    return len(passed), failed


def main(arguments):
    if len(arguments) < 2:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    directory, stages = arguments[0], arguments[1:]
    passed_count = failed_count = 0
    for stage in stages:
        passed, failed = count_stage(directory, stage)
        passed_count += passed
        failed_count += len(failed)
        for what, why in sorted(failed.items()):
            print(f"failed in stage {stage}: {what} ({why})")
    print(f"{passed_count} passed, {failed_count} failed")
    return 0 if failed_count == 0 and passed_count > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
