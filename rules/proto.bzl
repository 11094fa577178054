"""What all languages share.

- `proto_library`: .proto files and their descriptor set.
- `proto_codegen`: what any locked plugin generates from them.
- `proto_sync_test`: tests whether the copies of generated code are up to date.
- `proto_packages`: one proto_library for every proto package of a plugins.lock.toml.
- `protobuf_plugins`: one target for every plugin of a plugins.lock.toml.
- `protobuf_toolchain`: protoc and the plugins, as `toolchains//:protobuf`.
- `ProtoInfo`: the provider of a proto_library, for your own rules.
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

# For any language: only the plugin's name is known.
_ANY = Language(name = "gen", groups = {"srcs": [""]})

def _proto_codegen_impl(ctx: AnalysisContext) -> list[Provider]:
    return library(ctx, _ANY)

proto_codegen = rule(
    impl = _proto_codegen_impl,
    doc = """Generates code from .proto files with any locked plugin, or any of protoc's own generators.

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

    The output is the folder that the plugin writes. Sub-targets: `[all]` is the
    folder with the code of dependencies included; each path in `files` is that
    file; `[srcs]` has all of those; `[descriptor]`; and `[sync]`.

    It is an error if a plugin or a version is not locked, or if it is not a protoc
    plugin and `out_name` is not set. The message says what to write or to run.
    """,
    attrs = library_attrs(_ANY) | {
        "plugin": attrs.string(doc = "Name of the plugin in the lock, or `protoc` for one of protoc's own generators."),
    },
)

def _proto_sync_test_impl(ctx: AnalysisContext) -> list[Provider]:
    found = ctx.attrs.library.sub_target("sync")
    return [DefaultInfo(), found[RunInfo], found[ExternalRunnerTestInfo]]

proto_sync_test = rule(
    impl = _proto_sync_test_impl,
    doc = """Fails with a diff if the copies made by `[sync]` are stale.

    ```python
    proto_sync_test(
        name = "api_ts_fresh",
        library = ":api_ts",
    )
    ```

    It passes if every generated file is in the source tree unchanged, and the
    source tree has no file that `[sync]` wrote and the library no longer generates.
    `buck2 run //api:api_ts_fresh` updates them, as `buck2 run //api:api_ts[sync]`
    does. The test reads the source tree, so it runs on this machine.
    """,
    attrs = {
        "labels": LABELS,
        "library": attrs.dep(providers = [ProtoInfo], doc = "The library whose generated code was copied."),
    },
)
