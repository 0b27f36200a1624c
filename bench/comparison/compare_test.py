"""Tests of the comparison: reports are read, means are right, bad words are refused, and the whole runs end to end."""

import contextlib
import csv
import html.parser
import io
import mmap
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import compare
import loads
import page
import peers
import programs
import results
import runner
import scaling
import svg
import tune

BENCH = os.environ["BENCH"]
HAKMEM = os.environ["HAKMEM"]


def filled(figures):
    """Results of one load 'a' and one load 'b'; figures: {(load, allocator): [(cpu, peak), ...]}."""
    names = ["hakmem", "fast", "lean"]
    table = results.Results([peers.Allocator(name, "/lib/%s.so" % name) for name in names])
    rows = {name: loads.Load(name, "larson/larson", "", "", 1, "stresses " + name) for name in ("a", "b")}
    for (load, allocator), runs in figures.items():
        for cpu, peak in runs:
            table.add(rows[load], peers.Allocator(allocator), runner.Run({runner.CPU: cpu, runner.PEAK: peak}))
    return table


EXAMPLE = {
    ("a", "hakmem"): [(10.0, 200.0), (12.0, 210.0), (90.0, 205.0)],
    ("a", "fast"): [(10.0, 400.0)],
    ("a", "lean"): [(20.0, 100.0)],
    ("b", "hakmem"): [(5.0, 50.0)],
    ("b", "fast"): [(10.0, 100.0)],
    ("b", "lean"): [(40.0, 50.0)],
}


class ReportTest(unittest.TestCase):

    def test_lines_become_figures(self):
        figures = runner.parse_report("load: larson\ncpu_ns_per_operation: 12.5\nno colon\nrss_kib_timeline: 0:1 2:3\n")
        self.assertEqual(figures, {"load": "larson", "cpu_ns_per_operation": 12.5, "rss_kib_timeline": "0:1 2:3"})


class ResultsTest(unittest.TestCase):

    def test_median_and_best_peer(self):
        table = filled(EXAMPLE)
        self.assertEqual(table.median("a", "hakmem", runner.CPU), 12.0)
        self.assertEqual(table.best_peer("a", runner.CPU), ("fast", 10.0))
        self.assertEqual(table.best_peer("a", runner.PEAK), ("lean", 100.0))
        # hakmem is ahead in b, and is still compared with the best peer, not with itself.
        self.assertEqual(table.ratio("b", "hakmem", runner.CPU), 0.5)
        self.assertEqual(table.ratio("a", "lean", runner.CPU), 2.0)

    def test_geometric_mean(self):
        table = filled(EXAMPLE)
        mean, count = table.geometric_mean("lean", runner.CPU)
        self.assertAlmostEqual(mean, (2.0 * 4.0)**0.5)
        self.assertEqual(count, 2)
        mean, _ = table.geometric_mean("hakmem", runner.PEAK)
        self.assertAlmostEqual(mean, (2.05 * 1.0)**0.5)

    def test_failures_are_kept_and_shown(self):
        table = filled(EXAMPLE)
        load = loads.Load("c", "larson/larson", "", "", 1, "fails")
        for _ in range(2):
            table.add(load, peers.Allocator("hakmem"), runner.Run(failure="ended by signal 11"))
        self.assertEqual(table.failures, [("c", "hakmem", "ended by signal 11")])
        self.assertIn("* hakmem on c: ended by signal 11", results.markdown(table, []))
        self.assertIn("hakmem on c: ended by signal 11", page.html_page(table, [], loads))

    def test_markdown_has_every_row(self):
        text = results.markdown(filled(EXAMPLE), ["a machine"])
        self.assertIn("* a machine", text)
        self.assertIn("| a | 1.20 | 1.00 | 2.00 | fast, 10 ns |", text)
        self.assertIn("| b | 0.50 | 1.00 | 4.00 | fast, 10 ns |", text)
        self.assertIn("| a | 2.05 | 4.00 | 1.00 | lean, 100 KiB |", text)

    def test_units(self):
        self.assertEqual(results.duration(12.34), "12.3 ns")
        self.assertEqual(results.duration(2.5e9), "2.5 s")
        self.assertEqual(results.size(512), "512 KiB")
        self.assertEqual(results.size(3 * 1024), "3 MiB")


class PromiseTest(unittest.TestCase):

    def test_rows_say_what_is_kept(self):
        table = results.Results([peers.Allocator(name) for name in ("hakmem", "other")])
        burst = loads.Load("burst", "", "", "", 1, "")
        survivors = loads.Load("burst-survivors", "", "", "", 1, "")
        steady = loads.Load("steady", "", "", "", 1, "", picture=True)
        for name, after, given, later in (("hakmem", 5.0, 80.0, 100.5), ("other", 5.1, 49.0, 150.0)):
            one = peers.Allocator(name)
            table.add(burst, one, runner.Run({runner.PEAK: 1.0, "rss_kib_full": 100.0, "rss_kib_at_once": 60.0,
                                              "rss_kib_after_1_s": after}))
            table.add(survivors, one, runner.Run({runner.PEAK: 1.0, "empty_pages_given_back_percent": given}))
            table.add(steady, one, runner.Run({runner.PEAK: 1.0, "rss_kib_most_until_5_s": 100.0,
                                               "rss_kib_most_after_5_s": later, "rss_kib_timeline": "1:2048 2:4096"}))
        rows = {row.title: row for row in results.promises(table)}
        self.assertEqual(len(rows), 4)
        for title, row in rows.items():
            kept = {name: row.kept(value) for name, value in row.values.items()}
            self.assertEqual(kept, {"hakmem": "at once" not in title, "other": False}, title)
        text = results.markdown(table, [])
        self.assertIn("| burst freed: resident after 1 s of sleep, of the peak | 5 % or less | 5.0 % | 5.1 % |", text)
        self.assertEqual(page._samples(table, "hakmem", "steady"), [(1.0, 2.0), (2.0, 4.0)])
        self.assertIn("resident memory over time: lower and flat is better", page.html_page(table, [], loads))


class Balance(html.parser.HTMLParser):
    """Finds tags that are not closed, and anything that would be fetched from elsewhere."""

    VOID = {"meta", "br", "link", "img"}

    def __init__(self):
        super().__init__()
        self.open = []
        self.faults = []
        self.pictures = []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "svg":
            self.pictures.append(dict(attributes))
        for key, value in attributes:
            if key in ("src", "href"):
                self.faults.append("%s=%s" % (key, value))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append("unexpected </%s>" % tag)


class PageTest(unittest.TestCase):

    def test_page_is_whole_and_self_contained(self):
        text = page.html_page(filled(EXAMPLE), ["a <machine>"], loads)
        balance = Balance()
        balance.feed(text)
        self.assertEqual(balance.faults, [])
        self.assertEqual(balance.open, [])
        self.assertIn("a &lt;machine&gt;", text)
        self.assertIn("CPU time: farther left is better", text)
        self.assertNotIn("<script", text)

    def test_pictures_are_well_formed(self):
        style = svg.Style(["hakmem"] + ["peer%d" % i for i in range(11)])
        dots = svg.ratio_dots(style, [("load", {"hakmem": 0.9, "peer1": 9.0}, "1 ns")], {"hakmem": 1.0}, "title")
        scattered = svg.scatter(style, {"hakmem": (1.0, 1.0), "peer1": (2.0, 1.5)}, "t", "x", "y")
        lined = svg.lines(style, {"hakmem": [(1, 5.0), (8, 7.0)], "peer2": [(1, 5.0), (8, 7.1)]}, "t", "x", "y", x_log=True)
        for picture in (dots, scattered, lined):
            xml.etree.ElementTree.fromstring(picture)
            root = xml.etree.ElementTree.fromstring(svg.standalone(picture))
            self.assertGreater(int(root.get("width")), int(root.get("height")))
            self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg", "what shows it as a file needs the name space")
            self.assertEqual(len(list(root.iter())), len(list(xml.etree.ElementTree.fromstring(picture)[0].iter())) + 1)

    def test_field_needs_two_allocators(self):
        self.assertIn("mean time and mean memory", page.field(filled(EXAMPLE)))
        self.assertEqual(page.field(results.Results([peers.Allocator("hakmem", "")])), "")

    def test_every_allocator_can_be_told_apart(self):
        names = ["hakmem"] + ["peer%d" % i for i in range(11)]
        style = svg.Style(names)
        self.assertEqual(len({style.colours[name] for name in names}), len(names))
        self.assertEqual(len({style.markers[name] for name in names}), len(names), "shapes are for whom colours are not enough")

    def test_names_are_dark_enough_to_read(self):
        names = ["peer%d" % i for i in range(12)]
        style = svg.Style(names)
        for name in names:
            red, green, blue = (int(style.ink(name)[at:at + 2], 16) / 255 for at in (1, 3, 5))
            light = sum(share * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055)**2.4)
                        for share, c in ((0.2126, red), (0.7152, green), (0.0722, blue)))
            self.assertGreaterEqual(1.05 / (light + 0.05), 4.5, style.ink(name))

    def test_long_names_have_room_beside_lines(self):
        style = svg.Style(["hakmem", "an-allocator-with-a-name"])
        picture = svg.lines(style, {name: [(1, 5.0), (8, 7.0)] for name in style.names}, "t", "x", "y", width=620)
        for text in xml.etree.ElementTree.fromstring(picture).iter("text"):
            if text.text in style.names:
                self.assertLessEqual(float(text.get("x")) + 7 * len(text.text), 620)

    def test_labels_keep_their_distance(self):
        placed = svg.spread_labels([90, 91, 92, 10], 14, 0, 100)
        self.assertLessEqual(max(placed), 100)
        apart = sorted(placed)
        self.assertTrue(all(b - a >= 13.99 for a, b in zip(apart, apart[1:])), apart)
        self.assertLess(placed[0], placed[1])
        self.assertLess(placed[1], placed[2])

    def test_ticks_are_round(self):
        self.assertEqual(svg.nice_ticks(0, 10, False), [0, 2, 4, 6, 8, 10])
        self.assertEqual(svg.nice_ticks(1, 1000000, True), [1, 10, 100, 1000, 10000, 100000, 1000000])


class ChoiceTest(unittest.TestCase):

    def test_loads(self):
        self.assertEqual([load.name for load in loads.choose(["larson-1", "burst*"])],
                         ["larson-1", "burst", "burst-exited", "burst-survivors"])
        with self.assertRaisesRegex(ValueError, "'nothing' is no load"):
            loads.choose(["nothing"])
        names = [load.name for load in loads.choose(["all"])]
        self.assertEqual(len(names), len(set(names)))
        self.assertNotIn("steady", names)
        self.assertEqual([load.name for load in loads.choose(["steady"])], ["steady"])

    def test_every_load_is_a_program_that_exists(self):
        for load in loads.choose(["all"]):
            if load.program == "real":
                self.assertIn(load.name, programs.NEEDS)
            else:
                self.assertTrue(os.access(os.path.join(BENCH, load.program), os.X_OK), load.program)
            if load.recording:
                self.assertTrue(os.path.isfile(os.path.join(BENCH, load.recording)), load.recording)

    def test_peers(self):
        with self.assertRaisesRegex(ValueError, "'nobody' is no peer"):
            peers.choose(["nobody"], False)
        with self.assertRaisesRegex(ValueError, "there is no file /no/where.so"):
            peers.choose(["mine=/no/where.so"], False)
        with self.assertRaisesRegex(ValueError, "a name of its own"):
            peers.choose(["glibc=" + __file__], False)
        chosen = peers.choose(["glibc", "glibc", "mine=" + __file__], False)
        self.assertEqual([each.name for each in chosen], ["glibc", "mine"])
        self.assertEqual(chosen[0].proof, "libc.so")
        self.assertEqual(peers.Allocator("hakmem", "/x/libhakmem.so").proof, "hakmem")


class OptionsTest(unittest.TestCase):

    def test_numbers_that_mean_nothing_are_refused(self):
        for word in ("--runs=0", "--runs=-1", "--timeout=0", "--budget_minutes=0", "--budget_minutes=nan"):
            with self.assertRaises(SystemExit) as ended, contextlib.redirect_stderr(io.StringIO()) as said:
                compare.parse(["--bench=here", "--list", word])
            self.assertEqual(ended.exception.code, 2, word)
            self.assertIn("has to be above 0", said.getvalue())


class RunGroupTest(unittest.TestCase):

    def test_an_interruption_gets_through_when_the_command_has_just_ended(self):
        class Ended(subprocess.Popen):

            def communicate(self, *arguments, **options):
                if self.returncode is None:
                    self.wait()
                    raise KeyboardInterrupt
                return super().communicate(*arguments, **options)

        with unittest.mock.patch("subprocess.Popen", Ended), self.assertRaises(KeyboardInterrupt):
            programs.run_group(["true"], 10)


class ScalingTest(unittest.TestCase):

    def test_counts_are_for_each_million(self):
        statistics = {"remote_pushes": 10, "drains": 4, "lock_pool": 6, "lock_pool_contended": 2, "calls_map": 8, "calls_purge": 2,
                      "remote_frees": 40, "blocks": 99}
        self.assertEqual(scaling.row(2e6, statistics), [7.0, 3.0, 1.0, 5.0, 20.0])

    def test_bad_words_end_with_status_2(self):
        for word in ("--threads=x", "--threads=0"):
            done = subprocess.run([sys.executable, "-B", scaling.__file__, "--bench=" + BENCH, "--hakmem=/no/where", word],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 2, word)


class Clock:
    """Time that passes only when the fake runner says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class WarmMemoryTest(unittest.TestCase):
    def test_it_is_used_and_given_back(self):
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * mmap.PAGESIZE

        before = resident()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        runner.warm_memory(64 << 20)
        self.assertGreaterEqual(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults, 32)
        self.assertLess(resident() - before, 8 << 20)


class FakeRunner:
    """Runs that take 10 s on the clock; what is in `broken` fails, and the run at `stop` is interrupted."""

    def __init__(self, clock, broken=(), stop=0):
        self.clock, self.broken, self.stop = clock, broken, stop
        self.ran = []

    def prepare(self, load):
        return "not built" if load.name == "missing" else ""

    def run(self, load, allocator):
        self.clock.now += 10
        self.ran.append((load.name, allocator.name))
        if len(self.ran) == self.stop:
            raise KeyboardInterrupt()
        if (load.name, allocator.name) in self.broken:
            return runner.Run(failure="ended by signal 11")
        return runner.Run({runner.CPU: 1.0, runner.PEAK: 2.0})


class RoundsTest(unittest.TestCase):

    def setUp(self):
        self.clock = Clock()
        self.loads = [loads.Load(name, "larson/larson", "", "", 1, "") for name in ("a", "missing", "b")]
        self.allocators = [peers.Allocator(name) for name in ("one", "two")]
        self.table = results.Results(self.allocators)
        self.saved = 0

    def rounds(self, fake, runs, minutes):

        def write():
            self.saved += 1

        real = compare.Progress.__init__.__defaults__
        compare.Progress.__init__.__defaults__ = (self.clock,)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                compare.rounds(self.loads, self.allocators, runs, minutes, fake, self.table, write)
        finally:
            compare.Progress.__init__.__defaults__ = real

    def test_all_loads_once_before_any_again_and_everybody_first(self):
        fake = FakeRunner(self.clock)
        self.rounds(fake, 2, 0)
        self.assertEqual(fake.ran, [("a", "two"), ("a", "one"), ("a", "two"), ("b", "one"), ("b", "two"), ("b", "one"),
                                    ("a", "two"), ("a", "one"), ("b", "one"), ("b", "two")])
        self.assertEqual(self.saved, 4)

    def test_a_first_run_of_each_load_does_not_count(self):
        self.rounds(FakeRunner(self.clock), 2, 0)
        for load in ("a", "b"):
            for name in ("one", "two"):
                self.assertEqual(len(self.table.runs[load, name]), 2)

    def test_a_load_that_lasts_runs_only_when_it_counts(self):
        self.loads = [loads.Load("long", "larson/larson", "", "", 1, "", lasts=600)]
        fake = FakeRunner(self.clock)
        self.rounds(fake, 1, 0)
        self.assertEqual(fake.ran, [("long", "one"), ("long", "two")])

    def test_a_failure_costs_only_itself(self):
        fake = FakeRunner(self.clock, broken={("a", "one")})
        self.rounds(fake, 3, 0)
        self.assertEqual(fake.ran.count(("a", "one")), 1)
        for pair, not_counted in ((("a", "two"), 1), (("b", "one"), 1), (("b", "two"), 0)):
            self.assertEqual(fake.ran.count(pair), 3 + not_counted)
        self.assertEqual(self.table.failures, [("a", "one", "ended by signal 11")])

    def test_the_budget_is_kept(self):
        fake = FakeRunner(self.clock)
        self.rounds(fake, 100, 125 / 60)  # a load takes 20 s, the first time 30: five of them fit
        self.assertEqual(len(fake.ran), 12)
        self.assertLessEqual(self.clock.now, 1000 + 125)

    def test_an_interruption_keeps_what_was_measured(self):
        fake = FakeRunner(self.clock, stop=6)
        with self.assertRaises(KeyboardInterrupt):
            self.rounds(fake, 2, 0)
        self.assertEqual(self.saved, 1)
        self.assertEqual(self.table.median("b", "two", runner.CPU), 1.0)

    def test_time_left(self):
        progress = compare.Progress(self.loads, 2, 3, 0, self.clock)
        self.assertIsNone(progress.seconds_left(self.loads[0], 1))
        progress.took = {"a": 30.0, "missing": 10.0}
        # This round: b, not run yet, for the mean of 20 s; then two rounds of 60 s.
        self.assertEqual(progress.seconds_left(self.loads[2], 1), 20 + 2 * 60)
        progress.deadline = self.clock.now + 5
        self.assertEqual(progress.seconds_left(self.loads[2], 1), 5)


class RobustTest(unittest.TestCase):

    def test_a_hanging_run_ends_with_all_that_it_started(self):
        with tempfile.NamedTemporaryFile("r") as file:
            with self.assertRaises(subprocess.TimeoutExpired):
                programs.run_group(["sh", "-c", "sleep 60 & echo $! > %s; wait" % file.name], 1)
            child = file.read().strip()
            self.assertTrue(child)
            for _ in range(100):
                if not os.path.exists("/proc/%s" % child) or " Z " in open("/proc/%s/stat" % child).read():
                    break
                time.sleep(0.05)
            else:
                self.fail("the child of the shell goes on")

    def test_any_fault_of_a_run_is_its_own(self):
        with tempfile.TemporaryDirectory() as scratch:
            one = runner.Runner(BENCH, HAKMEM, scratch, True, 5)
            missing = loads.Load("x", "no/program", "", "", 0, "")
            self.assertIn("FileNotFoundError", one.run(missing, peers.Allocator("glibc")).failure)

    def test_google_tcmalloc_gets_what_it_needs(self):
        with tempfile.NamedTemporaryFile("wb", suffix=".so") as file:
            self.assertEqual(peers.Allocator("other", file.name).environment, {})
            file.write(b"x" + peers.GOOGLE_TCMALLOC)
            file.flush()
            self.assertEqual(peers.Allocator("other", file.name).environment, {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"})


class TuneTest(unittest.TestCase):

    def run_tune(self, *arguments):
        return subprocess.run([sys.executable, "-B", tune.__file__, "--bench=" + BENCH, "--hakmem=" + HAKMEM] + list(arguments),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_bad_words_end_with_status_2(self):
        self.assertEqual(self.run_tune("--programs=nothing").returncode, 2)
        self.assertEqual(self.run_tune(os.devnull).returncode, 2)

    def test_compares(self):
        done = self.run_tune("--programs=sqlite3")
        self.assertEqual(done.returncode, 0, done.stderr)
        for title in ("Waste inside blocks", "Bytes resident in slabs", "Refills and blocks given back"):
            table = done.stdout[done.stdout.index("## " + title):].split("\n## ")[0]
            marks = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
            self.assertEqual((marks.count("*"), marks.count(">")), (1, 1), title)


class EndToEndTest(unittest.TestCase):

    def setUp(self):
        self.output = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.output)

    def run_compare(self, *arguments):
        return subprocess.run([sys.executable, "-B", compare.__file__, "--bench=" + BENCH, "--no_install"] + list(arguments),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.output)

    def test_compares_and_writes_everything(self):
        done = self.run_compare("--hakmem=" + HAKMEM, "--allow_debug", "--quick", "--runs=1", "--peers=glibc",
                                "--loads=larson-1,latency", "--output=out")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("larson-1 on hakmem, run 1", done.stdout)
        with open(os.path.join(self.output, "out", "results.csv")) as file:
            rows = list(csv.DictReader(file))
        self.assertTrue(any(row["load"] == "larson-1" and row["figure"] == runner.CPU and float(row["value"]) > 0
                            for row in rows))
        with open(os.path.join(self.output, "out", "table.md")) as file:
            self.assertRegex(file.read(), r"\| larson-1 \| \d+\.\d\d \| 1\.00 \|")
        with open(os.path.join(self.output, "out", "index.html")) as file:
            self.assertIn("latency of malloc", file.read())
        with open(os.path.join(self.output, "out", "field.svg")) as file:
            self.assertIn(">hakmem</text>", file.read())
        self.assertIn("field.svg,index.html,results.csv,table.md", done.stdout)

    def test_replays_recordings(self):
        done = self.run_compare("--quick", "--runs=1", "--allow_debug", "--hakmem=" + HAKMEM, "--peers=glibc",
                                "--loads=replay-sqlite3,replay-git", "--output=out")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(self.output, "out", "results.csv")) as file:
            rows = [row for row in csv.DictReader(file) if row["figure"] == runner.CPU]
        measured = {(row["load"], row["allocator"]) for row in rows}
        loads_run = ["replay-sqlite3"] + (["replay-git"] if shutil.which("git") else [])
        self.assertEqual(measured, {(load, allocator) for load in loads_run for allocator in ("hakmem", "glibc")})

    def test_a_library_without_malloc_measures_nothing(self):
        library = os.path.join(self.output, "empty.so")
        done = subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-o", library])
        self.assertEqual(done.returncode, 0)
        done = self.run_compare("--without_hakmem", "--quick", "--runs=1", "--peers=other=" + library, "--loads=larson-1",
                                "--output=out")
        self.assertIn("other on larson-1: status 4", done.stderr)
        with open(os.path.join(self.output, "out", "results.csv")) as file:
            self.assertEqual(len(list(csv.DictReader(file))), 0)

    def test_refuses_what_is_not_hakmem(self):
        self.assertEqual(self.run_compare("--hakmem=/no/where.so", "--peers=glibc").returncode, 2)
        library = os.path.join(self.output, "libhakmem.so")
        self.assertEqual(subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-o", library]).returncode, 0)
        done = self.run_compare("--hakmem=" + library, "--peers=glibc", "--loads=larson-1")
        self.assertEqual(done.returncode, 4)
        self.assertIn("is not hakmem", done.stderr)

    def test_bad_words_end_with_status_2(self):
        for arguments in (["--loads=nothing"], ["--peers=nobody"], ["--runs=-1"], ["--runs=x"], ["--unknown"],
                          ["--budget_minutes=-1"], ["--budget_minutes=nan"]):
            done = self.run_compare("--without_hakmem", *arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertNotEqual(done.stderr, "")

    def test_help_and_list(self):
        done = self.run_compare("--list")
        self.assertEqual(done.returncode, 0)
        self.assertIn("larson-classic", done.stdout)
        self.assertEqual(self.run_compare("--help").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
