"""The rooms of the allocator include downwards only, and name what they include.

usage: layering_test.py BUILD_FILE_OF_HAKMEM | --self-test

Looks through every package below the folder of that BUILD file. Only tests may reach anywhere.
"""

import ast
import os
import re
import sys
import tempfile

# From the top down: a room includes itself and what stands after it.
ROOMS = [
    "api",
    "guard",
    "trace",
    "tiny",
    "large",
    "shared_pool",
    "superslab",
    "page_arena",
    "mmap_gate",
    "diag",
    "config",
    "platform",
]
# Not part of the allocator: may include no room.
OUTSIDE = ["run"]

INCLUDE = re.compile(r'^\s*#\s*include\s+"hakmem/([^"]+)"', re.MULTILINE)


def rules_of(build_file):
    """Yields what a BUILD file declares for others than tests: (name, {attribute: strings in it})."""
    with open(build_file, encoding="utf-8") as text:
        tree = ast.parse(text.read(), build_file)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        attributes = {word.arg: word.value for word in node.keywords if word.arg}
        if "name" not in attributes or "test" in node.func.id or "benchmark" in node.func.id:
            continue
        testonly = attributes.get("testonly")
        if isinstance(testonly, ast.Constant) and testonly.value:
            continue
        strings = {
            attribute: [leaf.value for leaf in ast.walk(value) if isinstance(leaf, ast.Constant)]
            for attribute, value in attributes.items()
        }
        yield strings["name"][0] if strings["name"] else "?", strings


def full_label(label, package):
    """//hakmem/x:y for :y, y and //hakmem/y."""
    if label.startswith("//"):
        return label if ":" in label else f"{label}:{label.rsplit('/', 1)[1]}"
    return f"//hakmem/{package}:{label.lstrip(':')}"


def may_use(package, other):
    """Whether code of one package below hakmem/ may use another."""
    room, other_room = package.split("/")[0], other.split("/")[0]
    if room == other_room:
        return True
    if room in OUTSIDE or other_room in OUTSIDE:
        return False
    return ROOMS.index(room) < ROOMS.index(other_room)


def check(root):
    """Returns what is wrong below `root`, the folder hakmem/, a line each."""
    faults = []
    rules = []
    packages = sorted(
        os.path.relpath(folder, root) for folder, _, files in os.walk(root) if "BUILD.bazel" in files and folder != root
    )
    for package in packages:
        if package.split("/")[0] not in ROOMS + OUTSIDE:
            faults.append(f"hakmem/{package}: give it a place in ROOMS of hakmem/layering_test.py")
            continue
        for name, strings in rules_of(os.path.join(root, package, "BUILD.bazel")):
            rules.append((package, name, strings))
    headers = {}  # of each label
    for package, name, strings in rules:
        headers[f"//hakmem/{package}:{name}"] = {f"{package}/{file}" for file in strings.get("hdrs", [])}

    for package, name, strings in rules:
        label = f"//hakmem/{package}:{name}"
        own_files = [file for file in strings.get("srcs", []) + strings.get("hdrs", []) if file.endswith((".h", ".cc"))]
        reachable = {f"{package}/{file}" for file in own_files}
        for text in strings.get("deps", []):
            if not isinstance(text, str) or not (text.startswith(":") or text.startswith("//hakmem/")):
                continue
            dependency = full_label(text, package)
            reachable |= headers.get(dependency, set())
            other = dependency[len("//hakmem/"):].split(":")[0]
            if other.split("/")[0] in ROOMS + OUTSIDE and not may_use(package, other):
                faults.append(f"{label}: depends on {dependency}, which does not stand below it")
        for file in own_files:
            with open(os.path.join(root, package, file), encoding="utf-8") as text:
                included = INCLUDE.findall(text.read())
            for header in included:
                other = os.path.dirname(header)
                if other.split("/")[0] in ROOMS + OUTSIDE and not may_use(package, other):
                    faults.append(f"hakmem/{package}/{file}: includes hakmem/{header}, which does not stand below it")
                elif header not in reachable:
                    faults.append(f"hakmem/{package}/{file}: no dependency of {label} has hakmem/{header}")
    if len(rules) < 3:
        faults.append(f"{root}: only {len(rules)} targets found")
    return faults


def self_test():
    """A small tree with each fault, and one without."""
    def tree(folder, files):
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
            with open(os.path.join(folder, path), "w", encoding="utf-8") as out:
                out.write(text)

    good = {
        "tiny/BUILD.bazel": 'cc_library(name = "tiny", srcs = ["t.cc"], hdrs = ["t.h"], deps = ["//hakmem/config:options"])',
        "tiny/t.cc": '#include "hakmem/tiny/t.h"\n#include "hakmem/config/o.h"\n',
        "tiny/t.h": "",
        "config/BUILD.bazel": 'cc_library(name = "options", hdrs = ["o.h"], deps = ["//hakmem/platform"])\n'
                              'cc_test(name = "o_test", srcs = ["o_test.cc"], deps = ["//hakmem/tiny"])',
        "config/o.h": "",
        "config/o_test.cc": '#include "hakmem/tiny/t.h"\n',
        "platform/BUILD.bazel": 'cc_library(name = "platform", hdrs = ["p.h"])',
        "platform/p.h": "",
    }
    cases = {
        "": {},
        "config/o.h: includes hakmem/tiny/t.h": {"config/o.h": '#include "hakmem/tiny/t.h"\n'},
        "config:options: depends on //hakmem/tiny:tiny": {
            "config/BUILD.bazel": 'cc_library(name = "options", hdrs = ["o.h"], deps = ["//hakmem/tiny"])'},
        "tiny/t.h: no dependency of //hakmem/tiny:tiny has hakmem/platform/p.h": {
            "tiny/t.h": '#include "hakmem/platform/p.h"\n'},
        "hakmem/attic: give it a place": {"attic/BUILD.bazel": 'cc_library(name = "attic")'},
    }
    for wanted, change in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            tree(folder, {**good, **change})
            faults = check(folder)
            if len(faults) != (1 if wanted else 0) or (wanted and wanted not in faults[0]):
                print(f"self-test: wanted {[wanted]}, got {faults}")
                return 1
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    faults = check(os.path.dirname(os.path.realpath(sys.argv[1])))
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
