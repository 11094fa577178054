"""TypeScript from .proto files.

    load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

    typescript_proto_library(
        name = "api_ts",
        srcs = ["api.proto"],
        plugin = "ts-proto",
        plugin_version = "2.7.2",
    )
"""

load("//prelude:generate.bzl", "generator")
load("//prelude:library.bzl", "language", "library", "library_attrs", "suffixes")

def _es_files(ending: str) -> typing.Any:
    """Returns the `files` of protoc-gen-es and of what is built like it."""

    def files(path: str, options: dict[str, typing.Any]) -> list[str]:
        targets = options.get("target", "js+dts")
        targets = targets.split("+") if type(targets) == "string" else targets
        suffix = {"dts": ".d.ts", "js": ".js", "ts": ".ts"}
        return [path.removesuffix(".proto") + ending + suffix[t] for t in targets if t in suffix]

    return files

def _protobuf_ts_files(path: str, options: dict[str, typing.Any]) -> list[str]:
    endings = [ending for style, ending in _STYLES.items() if style in options]
    if not [style for style in options if style.startswith("client_")]:
        endings.append(_STYLES["client_generic"])
    suffixes = [".js", ".d.ts"] if [o for o in options if o.startswith("output_javascript")] else [".ts"]
    return [path.removesuffix(".proto") + ending + suffix for ending in [""] + endings for suffix in suffixes]

# What protobuf-ts writes of services, by option.
_STYLES = {
    "client_generic": ".client",
    "client_grpc1": ".grpc-client",
    "server_generic": ".server",
    "server_grpc1": ".grpc-server",
}

# Stands in for code that a plugin had no reason to write.
_NOTHING = "export {};\n"

def _grpc_web_files(path: str, options: dict[str, typing.Any]) -> list[str]:
    folder, slash, base = path.removesuffix(".proto").rpartition("/")
    if options["import_style"] == "typescript":
        parts = base.replace("-", "_").split("_")
        return [folder + slash + "".join([p[:1].upper() + p[1:] for p in parts]) + "ServiceClientPb.ts"]
    return []

_TYPESCRIPT = language(
    name = "typescript",
    generators = {
        "protobuf-ts": generator("protobuf-ts", files = _protobuf_ts_files, fill = _NOTHING),
        "protoc-gen-es": generator("protoc-gen-es", own_comments = True, files = _es_files("_pb")),
        "protoc-gen-ts": generator("protoc-gen-ts", files = suffixes(".ts")),
        "ts-proto": generator("ts-proto", own_comments = True, own_options = {"emitImportedFiles": False}, files = suffixes(".ts")),
    },
    extras = {
        "connect": generator("protoc-gen-connect-es", own_comments = True, files = _es_files("_connect"), fill = _NOTHING),
        "grpc_web": generator("protoc-gen-grpc-web", options = {"import_style": "typescript", "mode": "grpcwebtext"}, files = _grpc_web_files, fill = _NOTHING),
    },
    groups = {"srcs": [".ts", ".js"]},
)

def _typescript_proto_library_impl(ctx: AnalysisContext) -> list[Provider]:
    return library(ctx, _TYPESCRIPT)

typescript_proto_library = rule(
    impl = _typescript_proto_library_impl,
    doc = """TypeScript generated from .proto files by a locked protoc plugin.

    The output is one folder with the code of the target's own files, under
    their import paths, and whatever else the plugin writes for them
    (protoc-gen-ts writes imported files as well). Sub-targets: `[all]` is a
    folder with the code of all files, those of dependencies and ts-proto's
    well-known types included, made by one further run of protoc; `[srcs]` are the files of the
    target's own sources, each of which is a sub-target as well, such as
    `[api/shop.ts]`; `[descriptor]` is the descriptor set of the target's own
    files; `[sync]` copies the code into the source tree.

    Other libraries may have the target in their `deps`, as they may have a
    proto_library.
    """,
    attrs = library_attrs(_TYPESCRIPT, about = {
        "connect": "Whether protoc-gen-connect-es 1.x writes services, beside protoc-gen-es 1.x. From 2.x on protoc-gen-es writes them itself.",
        "grpc_web": "Whether protoc-gen-grpc-web writes clients of services.",
    }),
)
