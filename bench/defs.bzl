"""The loads of the suite share one set of compiler flags."""

load("@rules_cc//cc:defs.bzl", "cc_binary")

def bench_load(name, srcs, deps = [], **kwargs):
    """A load: a program that runs on whatever allocator is preloaded.

    The compiler must neither drop a malloc whose block is not used nor fold a pair into nothing, and a load is measured
    as optimised code in every configuration.
    """
    cc_binary(
        name = name,
        srcs = srcs,
        copts = ["-O2", "-fno-builtin-malloc", "-fno-builtin-calloc", "-fno-builtin-realloc", "-fno-builtin-free"] +
                kwargs.pop("copts", []),
        linkopts = ["-ldl", "-pthread"],
        deps = [
            "//bench/harness",
            "@com_google_absl//absl/flags:flag",
            "@com_google_absl//absl/strings",
        ] + deps,
        **kwargs
    )
