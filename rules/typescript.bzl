"""TypeScript from .proto files.

```python
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

typescript_proto_library(
    name = "api_ts",
    srcs = ["api.proto"],
    plugin = "ts-proto",
    plugin_version = "2.7.2",
)
```
"""

load("//prelude:generate.bzl", "Files", "Generator", "Options")
load("//prelude:library.bzl", "Language", "codegen_rule", "suffixes")

# Replaces a file that a plugin omits because it would be empty.
_NOTHING = "export {};\n"

# What protobuf-ts writes for services, by option.
_STYLES = {
    "client_generic": ".client",
    "client_grpc1": ".grpc-client",
    "server_generic": ".server",
    "server_grpc1": ".grpc-server",
}

def _es_files(ending: str) -> Files:
    """Returns the `files` of protoc-gen-es and similar plugins."""

    def files(path: str, options: Options) -> list[str]:
        targets = options.get("target", "js+dts")
        targets = targets.split("+") if type(targets) == "string" else targets
        suffix = {"dts": ".d.ts", "js": ".js", "ts": ".ts"}
        return [path.removesuffix(".proto") + ending + suffix[t] for t in targets if t in suffix]

    return files

def _protobuf_ts_files(path: str, options: Options) -> list[str]:
    endings = [ending for style, ending in _STYLES.items() if style in options]
    if not [style for style in options if style.startswith("client_")]:
        endings.append(_STYLES["client_generic"])
    suffixes = [".js", ".d.ts"] if [o for o in options if o.startswith("output_javascript")] else [".ts"]
    return [path.removesuffix(".proto") + ending + suffix for ending in [""] + endings for suffix in suffixes]

def _grpc_web_files(path: str, options: Options) -> list[str]:
    if options["import_style"] != "typescript":
        return []
    folder, slash, base = path.removesuffix(".proto").rpartition("/")
    parts = base.replace("-", "_").split("_")
    return [folder + slash + "".join([p[:1].upper() + p[1:] for p in parts]) + "ServiceClientPb.ts"]

_TYPESCRIPT = Language(
    name = "typescript",
    plugin = "protoc-gen-ts",
    generators = [
        Generator(plugin = "protobuf-ts", files = _protobuf_ts_files, fill = _NOTHING),
        Generator(plugin = "protoc-gen-es", own_comments = True, files = _es_files("_pb")),
        Generator(plugin = "protoc-gen-ts", files = suffixes(".ts")),
        Generator(plugin = "ts-proto", own_comments = True, own_options = {"emitImportedFiles": False}, files = suffixes(".ts")),
    ],
    extras = {
        "connect": Generator(
            plugin = "protoc-gen-connect-es",
            doc = "Whether protoc-gen-connect-es 1.x writes services, with protoc-gen-es 1.x. Since 2.x, protoc-gen-es writes them itself.",
            files = _es_files("_connect"),
            fill = _NOTHING,
            own_comments = True,
        ),
        "grpc_web": Generator(
            plugin = "protoc-gen-grpc-web",
            doc = "Whether protoc-gen-grpc-web writes clients of services.",
            files = _grpc_web_files,
            fill = _NOTHING,
            options = {"import_style": "typescript", "mode": "grpcwebtext"},
        ),
    },
    groups = {"srcs": [".ts", ".js"]},
)

typescript_proto_library = codegen_rule(
    _TYPESCRIPT,
    doc = """TypeScript generated from .proto files by a locked protoc plugin.

    The output is a folder with the code of the target's own files, at their import
    paths, and whatever else the plugin writes for them: protoc-gen-ts also writes
    imported files. `[srcs]` has the files of the target's own sources, each of
    which is also a sub-target, such as `[api/shop.ts]`. With ts-proto, `[all]` also
    has its well-known types.
    """,
)
