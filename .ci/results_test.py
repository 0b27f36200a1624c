import contextlib
import io
import json
import os
import tempfile
import unittest

import results


def summary(label, status):
    return {"id": {"testSummary": {"label": label}}, "testSummary": {"overallStatus": status}}


def completed(label, success):
    # Bazel leaves out what is false.
    return {"id": {"targetCompleted": {"label": label}}, "completed": {"success": True} if success else {}}


class ResultsTest(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)

    def stage(self, name, status, events=None, tail=""):
        path = os.path.join(self._directory.name, name)
        with open(path + ".status", "w", encoding="ascii") as out:
            out.write(f"{status}\n")
        if events is not None:
            with open(path + ".json", "w", encoding="ascii") as out:
                out.write("".join(json.dumps(event) + "\n" for event in events) + tail)

    def run_main(self, *stages):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = results.main([self._directory.name, *stages])
        return status, out.getvalue().splitlines()

    def test_all_passed(self):
        self.stage("install", 0)
        self.stage("default", 0, [completed("//a", True), summary("//a:t", "PASSED"), summary("//b:t", "PASSED")])
        self.stage("asan", 0, [summary("//a:t", "PASSED")])
        self.assertEqual(self.run_main("install", "default", "asan"), (0, ["3 passed, 0 failed"]))

    def test_failures_are_named(self):
        self.stage("asan", 3, [summary("//a:t", "FAILED"), summary("//b:t", "TIMEOUT"), summary("//c:t", "PASSED")])
        self.assertEqual(
            self.run_main("asan"),
            (
                1,
                [
                    "failed in stage asan: //a:t (failed)",
                    "failed in stage asan: //b:t (timeout)",
                    "1 passed, 2 failed",
                ],
            ),
        )

    def test_flaky_is_failed(self):
        self.stage("tsan", 0, [summary("//a:t", "FLAKY"), summary("//b:t", "PASSED")])
        self.assertEqual(self.run_main("tsan")[1][-1], "1 passed, 1 failed")
        self.assertEqual(self.run_main("tsan")[0], 1)

    def test_what_is_not_built_is_failed(self):
        self.stage("default", 1, [completed("//a:lib", False), summary("//b:t", "PASSED")])
        status, lines = self.run_main("default")
        self.assertEqual(status, 1)
        self.assertEqual(lines, ["failed in stage default: //a:lib (not built)", "1 passed, 1 failed"])

    def test_a_test_that_is_not_built_counts_once(self):
        self.stage("default", 1, [completed("//a:t", False), summary("//a:t", "NO_STATUS")])
        self.assertEqual(self.run_main("default")[1], ["failed in stage default: //a:t (no status)", "0 passed, 1 failed"])

    def test_failing_stage_without_failures(self):
        self.stage("guard", 37, [summary("//a:t", "PASSED")], tail='{"id": {"test')
        self.assertEqual(
            self.run_main("guard"),
            (1, ["failed in stage guard: the stage (exit status 37 of bazel)", "1 passed, 1 failed"]),
        )

    def test_stage_without_events(self):
        self.stage("guard", 2)
        self.assertEqual(self.run_main("guard")[1][-1], "0 passed, 1 failed")

    def test_stage_without_tests(self):
        self.stage("release", 0, [completed("//a", True)])
        self.assertEqual(
            self.run_main("release"), (1, ["failed in stage release: the stage (no test ran)", "0 passed, 1 failed"])
        )

    def test_stage_that_never_ran(self):
        self.assertEqual(
            self.run_main("release"),
            (1, ["failed in stage release: the stage (did not run to its end)", "0 passed, 1 failed"]),
        )

    def test_broken_package(self):
        event = {"id": {"pattern": {"pattern": ["//..."]}}, "aborted": {"reason": "LOADING_FAILURE", "description": "bad"}}
        self.stage("default", 1, [event, summary("//a:t", "PASSED")])
        self.assertEqual(self.run_main("default")[1], ["failed in stage default: loading (bad)", "1 passed, 1 failed"])

    def test_failing_installation(self):
        self.stage("install", 1)
        self.stage("default", 0, [summary("//a:t", "PASSED")])
        self.assertEqual(
            self.run_main("install", "default"),
            (1, ["failed in stage install: the stage (exit status 1)", "1 passed, 1 failed"]),
        )

    def test_usage(self):
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(results.main([self._directory.name]), 2)
        self.assertEqual(err.getvalue(), "usage: results.py DIRECTORY STAGE...\n")


if __name__ == "__main__":
    unittest.main()
