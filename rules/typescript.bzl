"""TypeScript from .proto files.

    load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

    typescript_proto_library(
        name = "api_ts",
        srcs = ["api.proto"],
        plugin = "ts-proto",
        plugin_version = "2.7.2",
    )
"""

load("//prelude:generate.bzl", "generate", "pick_plugin", "plugin_attrs")
load("//prelude:proto_library.bzl", "compile_protos", "proto_attrs")
load("//prelude:providers.bzl", "ProtoInfo")

def _typescript_proto_library_impl(ctx: AnalysisContext) -> list[Provider]:
    plugin = pick_plugin(ctx, "typescript")
    if ctx.attrs.proto == None:
        info = compile_protos(ctx)
    elif ctx.attrs.srcs or ctx.attrs.deps:
        fail("{}: `proto` has its own sources and dependencies; leave out `srcs` and `deps`".format(ctx.label.raw_target()))
    else:
        info = ctx.attrs.proto[ProtoInfo]
    own = generate(ctx, plugin, "ts", info.paths, info.descriptors)
    everything = generate(ctx, plugin, "ts-all", info.transitive_paths, info.descriptors)
    return [
        DefaultInfo(
            default_output = own,
            sub_targets = {
                "all": [DefaultInfo(default_output = everything)],
                "descriptor": [DefaultInfo(default_output = info.descriptor)],
            },
        ),
        # The fields one by one: `info` may be another cell's copy of the type.
        ProtoInfo(
            descriptor = info.descriptor,
            descriptors = info.descriptors,
            paths = info.paths,
            transitive_paths = info.transitive_paths,
        ),
    ]

typescript_proto_library = rule(
    impl = _typescript_proto_library_impl,
    doc = """TypeScript generated from .proto files by a locked protoc plugin.

    The output is one folder with the code of the target's own files, under
    their import paths, and whatever else the plugin writes for them (ts-proto
    and protoc-gen-ts write imported files as well). Sub-targets:
    `[all]` is a folder with the code of all files, those of dependencies
    included, made by one further run of protoc; `[descriptor]` is the
    descriptor set of the target's own files.

    Other libraries may have the target in their `deps`, as they may have a
    proto_library.
    """,
    attrs = proto_attrs() | plugin_attrs() | {
        "proto": attrs.option(
            attrs.dep(providers = [ProtoInfo]),
            default = None,
            doc = "A proto_library to generate code of, in place of `srcs` and `deps`.",
        ),
    },
)
