"""The door to what every language shares.

- `proto_library`: .proto files and their descriptor set.
- `proto_codegen`: what any locked plugin makes of them.
- `proto_sync_test`: whether the copies of generated code are fresh.
- `protobuf_plugins`: one target for every plugin of a plugins.lock.toml.
- `protobuf_toolchain`: protoc and the plugins, as `toolchains//:protobuf`.
- `ProtoInfo`: what a proto_library tells a rule of yours.
"""

load("//prelude:generate.bzl", "generator", "pick_generators")
load("//prelude:library.bzl", "generated", "language", "library_attrs")
load("//prelude:plugins.bzl", _protobuf_plugins = "protobuf_plugins")
load("//prelude:proto_library.bzl", _proto_library = "proto_library")
load("//prelude:providers.bzl", _ProtoInfo = "ProtoInfo")
load("//prelude:toolchain.bzl", _protobuf_toolchain = "protobuf_toolchain")

ProtoInfo = _ProtoInfo
proto_library = _proto_library
protobuf_plugins = _protobuf_plugins
protobuf_toolchain = _protobuf_toolchain

def _proto_codegen_impl(ctx: AnalysisContext) -> list[Provider]:
    return generated(ctx, pick_generators(ctx, generator(ctx.attrs.plugin)), "gen", groups = {"srcs": [""]})

proto_codegen = rule(
    impl = _proto_codegen_impl,
    doc = """What any locked plugin, or any generator of protoc, makes of .proto files.

        proto_codegen(
            name = "api_lint",
            proto = ":api_proto",
            plugin = "acme-lint",
            options = {"level": "strict"},
        )

        proto_codegen(
            name = "api_csharp",
            srcs = ["api.proto"],
            plugin = "protoc",
            out_name = "csharp",
            options = {"base_namespace": ""},
        )

    The output is the folder that the plugin writes. Sub-targets: `[all]`
    is a folder for all files, those of dependencies included; each of `files`;
    `[srcs]`, which is all of those; `[descriptor]`; and `[sync]`.
    """,
    attrs = library_attrs(language("gen", {})) | {
        "plugin": attrs.string(doc = "Name of the plugin in the lock, or `protoc` for a generator of its own."),
    },
)

def _proto_sync_test_impl(ctx: AnalysisContext) -> list[Provider]:
    found = ctx.attrs.library.sub_target("sync")
    return [DefaultInfo(), found[RunInfo], found[ExternalRunnerTestInfo]]

proto_sync_test = rule(
    impl = _proto_sync_test_impl,
    doc = """Fails with a difference where the copies that `[sync]` made are stale.

        proto_sync_test(
            name = "api_ts_fresh",
            library = ":api_ts",
        )

    `buck2 run //api:api_ts_fresh` makes them fresh, as `buck2 run //api:api_ts[sync]` does.
    The test reads the source tree and so runs on this machine.
    """,
    attrs = {
        "labels": attrs.list(attrs.string(), default = [], doc = "Words for queries; nothing here reads them."),
        "library": attrs.dep(providers = [ProtoInfo], doc = "The library whose generated code was copied."),
    },
)
