"""One archive of a library and all that it needs, for builds other than Bazel's."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _static_archive_impl(ctx):
    objects = []
    for input in ctx.attr.library[CcInfo].linking_context.linker_inputs.to_list():
        for library in input.libraries:
            objects += library.pic_objects or library.objects or []
    archive = ctx.actions.declare_file(ctx.attr.name)
    toolchain = find_cpp_toolchain(ctx)
    arguments = ctx.actions.args()

    # q appends: objects of different rooms may bear the same name, which r would take for the same object.
    arguments.add("qcsD", archive)
    arguments.add_all(objects)
    ctx.actions.run(
        executable = toolchain.ar_executable,
        arguments = [arguments],
        inputs = depset(objects, transitive = [toolchain.all_files]),
        outputs = [archive],
        mnemonic = "StaticArchive",
    )
    return [DefaultInfo(files = depset([archive]))]

static_archive = rule(
    implementation = _static_archive_impl,
    attrs = {
        "library": attr.label(providers = [CcInfo]),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    incompatible_use_toolchain_transition = True,
)
