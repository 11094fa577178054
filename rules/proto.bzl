"""What every language shares.

- `proto_library`: .proto files and their descriptor set.
- `proto_codegen`: what any locked plugin generates from them.
- `proto_sync_test`: whether the copies of generated code are fresh.
- `proto_packages`: one proto_library for every proto package of a plugins.lock.toml.
- `protobuf_plugins`: one target for every plugin of a plugins.lock.toml.
- `protobuf_toolchain`: protoc and the plugins, as `toolchains//:protobuf`.
- `ProtoInfo`: the provider of a proto_library, for rules of your own.
"""

load("//prelude:library.bzl", "Language", "library", "library_attrs")
load("//prelude:packages.bzl", _proto_packages = "proto_packages")
load("//prelude:plugins.bzl", _protobuf_plugins = "protobuf_plugins")
load("//prelude:proto_library.bzl", "LABELS", _proto_library = "proto_library")
load("//prelude:providers.bzl", _ProtoInfo = "ProtoInfo")
load("//prelude:toolchain.bzl", _protobuf_toolchain = "protobuf_toolchain")

ProtoInfo = _ProtoInfo
proto_library = _proto_library
proto_packages = _proto_packages
protobuf_plugins = _protobuf_plugins
protobuf_toolchain = _protobuf_toolchain

# Of no language in particular: nothing is known of the plugin but its name.
_ANY = Language(name = "gen", groups = {"srcs": [""]})

def _proto_codegen_impl(ctx: AnalysisContext) -> list[Provider]:
    return library(ctx, _ANY)

proto_codegen = rule(
    impl = _proto_codegen_impl,
    doc = """What any locked plugin, or any generator of protoc, generates from .proto files.

    ```python
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
    ```

    The output is the folder that the plugin writes. Sub-targets: `[all]` is that
    with the code of dependencies included; each of `files`; `[srcs]`, all of
    those; `[descriptor]`; and `[sync]`.

    It is an error, which says what to write or to run, if a plugin or a version
    is not locked, or is no protoc plugin and `out_name` does not name it.
    """,
    attrs = library_attrs(_ANY) | {
        "plugin": attrs.string(doc = "Name of the plugin in the lock, or `protoc` for a generator of its own."),
    },
)

def _proto_sync_test_impl(ctx: AnalysisContext) -> list[Provider]:
    found = ctx.attrs.library.sub_target("sync")
    return [DefaultInfo(), found[RunInfo], found[ExternalRunnerTestInfo]]

proto_sync_test = rule(
    impl = _proto_sync_test_impl,
    doc = """Fails with a difference where the copies that `[sync]` made are stale.

    ```python
    proto_sync_test(
        name = "api_ts_fresh",
        library = ":api_ts",
    )
    ```

    It passes where every generated file is in the source tree as it is, and nothing
    is there that `[sync]` wrote and the library does not generate any more.
    `buck2 run //api:api_ts_fresh` makes them fresh, as `buck2 run //api:api_ts[sync]` does.
    The test reads the source tree, so it runs on this machine.
    """,
    attrs = {
        "labels": LABELS,
        "library": attrs.dep(providers = [ProtoInfo], doc = "The library whose generated code was copied."),
    },
)
