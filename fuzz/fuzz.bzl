"""Fuzz targets that are tests as well."""

load("@rules_cc//cc:defs.bzl", "cc_test")
load("//hakmem:copts.bzl", "HAKMEM_WARNINGS")

def hakmem_fuzz_test(name, srcs, corpus, dictionary = None, regressions = [], deps = [], **kwargs):
    """A fuzz target, LLVMFuzzerTestOneInput in `srcs`.

    With --config=fuzz-asan or fuzz-tsan it is a libFuzzer program for `bazel run`, which takes libFuzzer's flags. As a
    test, in any configuration, it replays the corpus and the regressions.

    Args:
      name: of the target.
      srcs: sources.
      corpus: files that fuzzing starts from.
      dictionary: a libFuzzer dictionary, where words help.
      regressions: inputs that once failed, named by what they found.
      deps: libraries. What is tested is under the hak_ names: libFuzzer itself stays on the C library's malloc.
      **kwargs: of cc_test.
    """
    files = corpus + regressions
    cc_test(
        name = name,
        srcs = srcs,
        size = "small",
        copts = HAKMEM_WARNINGS,
        linkstatic = 1,
        args = ["--seed_file=$(location %s)" % file for file in files] +
               (["--dictionary=$(location %s)" % dictionary] if dictionary else []),
        data = files + ([dictionary] if dictionary else []),
        linkopts = select({
            "//:fuzzing": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps + select({
            "//:fuzzing": ["//fuzz:libfuzzer_arguments"],
            "//conditions:default": ["//fuzz:replay"],
        }),
        **kwargs
    )
