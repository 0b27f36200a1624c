"""Compiler flags of hakmem's own code."""

load("@rules_cc//cc:defs.bzl", "cc_library", "cc_test")

# Errors in this tree (.bazelrc), and nobody's where hakmem is a part of somebody else's build.
HAKMEM_WARNINGS = [
    "-Wall",
    "-Wextra",
] + select({
    "@rules_cc//cc/compiler:clang": ["-Wthread-safety"],
    "//conditions:default": [],
})

# The allocator itself: no C++ runtime, nothing visible but the interface, one initial-exec thread-local pointer.
HAKMEM_COPTS = HAKMEM_WARNINGS + [
    "-std=c++20",
    "-fPIC",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-plt",
    "-ftls-model=initial-exec",
    "-fvisibility=hidden",
]

def hakmem_library(name, copts = [], **kwargs):
    """A part of the allocator.

    Linked statically everywhere: its variables are hidden, so that the hit paths read them without an indirection.
    """
    cc_library(
        name = name,
        # Bazel's toolchain keeps frame pointers, which profilers like; the hit paths can do without.
        copts = HAKMEM_COPTS + copts + select({
            "//:release": ["-fomit-frame-pointer"],
            "//conditions:default": [],
        }),
        # For whoever includes a header of the rooms as well, so that all agree on what the build checks.
        defines = select({
            "//:release": ["HAKMEM_BUILD_RELEASE=1"],
            "//conditions:default": [],
        }),
        linkstatic = 1,
        **kwargs
    )

def hakmem_test(name, deps, size = "small", **kwargs):
    """The test of a part, in name.cc beside it.

    The state of a room is the process's: a test binary for each part keeps the parts apart.
    """
    cc_test(
        name = name,
        size = size,
        srcs = [name + ".cc"],
        copts = HAKMEM_WARNINGS,
        linkopts = ["-pthread"],
        deps = deps + ["@com_google_googletest//:gtest_main"],
        **kwargs
    )
