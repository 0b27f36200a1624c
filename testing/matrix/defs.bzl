"""The matrix: how one test is multiplied.

The builds (release, debug, guard, asan, tsan, ubsan) are configurations of .bazelrc and are run by .ci/run. What is chosen
at run time is here: variants of the environment, of which each test that `matrix_test` makes gets one.
"""

load("@rules_cc//cc:defs.bzl", "cc_test")

# Name of the variant: options that make it. Each differs from the default in one thing, but for the last two.
VARIANTS = {
    "default": {},
    "no_lists": {"HAKMEM_TINY_FAST_CAP": "0"},
    "short_lists": {"HAKMEM_TINY_FAST_CAP": "8"},
    "no_adoption": {"HAKMEM_TINY_SS_ADOPT": "0"},
    "no_huge_pages": {"HAKMEM_HUGE_PAGES": "0"},
    "all_huge_pages": {"HAKMEM_HUGE_PAGES": "2"},
    "no_window": {"HAKMEM_WINDOW": "0"},
    "purge_at_once": {
        "HAKMEM_IDLE_KEEP": "0",
        "HAKMEM_PURGE_DELAY_MS": "0",
    },
    "no_window_no_lists_no_adoption": {
        "HAKMEM_TINY_FAST_CAP": "0",
        "HAKMEM_TINY_SS_ADOPT": "0",
        "HAKMEM_WINDOW": "0",
    },
    "short_lists_no_adoption": {
        "HAKMEM_TINY_FAST_CAP": "8",
        "HAKMEM_TINY_SS_ADOPT": "0",
    },
}

# What a run that has the time for it multiplies: every choice with every other.
_CHOICES = [
    {
        "": {},
        "short_lists": {"HAKMEM_TINY_FAST_CAP": "8"},
        "no_lists": {"HAKMEM_TINY_FAST_CAP": "0"},
    },
    {
        "": {},
        "no_adoption": {"HAKMEM_TINY_SS_ADOPT": "0"},
    },
    {
        "": {},
        "no_huge_pages": {"HAKMEM_HUGE_PAGES": "0"},
        "all_huge_pages": {"HAKMEM_HUGE_PAGES": "2"},
    },
    {
        "": {},
        "no_window": {"HAKMEM_WINDOW": "0"},
    },
    {
        "": {},
        "purge_at_once": {
            "HAKMEM_IDLE_KEEP": "0",
            "HAKMEM_PURGE_DELAY_MS": "0",
        },
    },
]

def _multiply(choices):
    product = {"": {}}
    for choice in choices:
        wider = {}
        for name, options in product.items():
            for added, more in choice.items():
                joined = dict(options)
                joined.update(more)
                wider["_".join([word for word in [name, added] if word])] = joined
        product = wider
    product["default"] = product.pop("")
    return product

COMBINATIONS = _multiply(_CHOICES)

def variant_table(name, variants, out):
    """The variants as an array for C++, in a source file `out` (variant_table.h).

    Args:
      name: of the rule.
      variants: name to options.
      out: file to write.
    """
    rows = [
        '    {"%s", {%s}},' % (
            variant,
            ", ".join(['{"%s", "%s"}' % (key, value) for key, value in sorted(options.items())]),
        )
        for variant, options in sorted(variants.items())
    ]
    native.genrule(
        name = name,
        outs = [out],
        cmd = "\n".join(
            [
                "cat >$@ <<'END'",
                '#include "testing/matrix/variant_table.h"',
                "namespace hakmem::testing {",
                "const std::vector<Variant>& Variants() {",
                "  static const auto* variants = new std::vector<Variant>{",
            ] + rows + [
                "  };",
                "  return *variants;",
                "}",
                "}  // namespace hakmem::testing",
                "END",
            ],
        ),
    )

def matrix_test(name, variants = VARIANTS, **kwargs):
    """A test for each variant, NAME_VARIANT, and a suite NAME of them all.

    Args:
      name: of the suite.
      variants: name to options.
      **kwargs: of cc_test. Its main function takes --variant=NAME and --option=VARIABLE=VALUE (variant.h).
    """
    tests = []
    for variant in sorted(variants):
        test = name + "_" + variant
        tests.append(test)
        args = ["--variant=" + variant]
        for option in sorted(variants[variant]):
            args.append("--option=%s=%s" % (option, variants[variant][option]))
        cc_test(
            name = test,
            args = args,
            **kwargs
        )
    native.test_suite(
        name = name,
        tests = tests,
    )
