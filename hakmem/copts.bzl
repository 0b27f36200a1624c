"""Compiler flags of hakmem's own code."""

load("@rules_cc//cc:defs.bzl", "cc_library")

# Warnings are errors in our own code only.
HAKMEM_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wthread-safety",
    "-Werror",
]

# The allocator itself: no C++ runtime, nothing visible but the interface, one initial-exec thread-local pointer.
HAKMEM_COPTS = HAKMEM_WARNINGS + [
    "-fPIC",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-plt",
    "-ftls-model=initial-exec",
    "-fvisibility=hidden",
]

def hakmem_library(name, **kwargs):
    """A part of the allocator.

    Linked statically everywhere: its variables are hidden, so that the hit paths read them without an indirection.
    """
    cc_library(
        name = name,
        # Bazel's toolchain keeps frame pointers, which profilers like; the hit paths can do without.
        copts = HAKMEM_COPTS + select({
            "//:release": ["-fomit-frame-pointer"],
            "//conditions:default": [],
        }),
        linkstatic = 1,
        **kwargs
    )
