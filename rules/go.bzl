"""Go from .proto files.

```python
load("@buck2-protobuf//rules:go.bzl", "go_proto_library")

go_proto_library(
    name = "api_go",
    srcs = ["api.proto"],
    grpc = True,
    package_name = "example.com/shop/api",
    runtime = ["//third-party:protobuf-go", "//third-party:grpc-go"],
)
```
"""

load("//prelude:generate.bzl", "Generator", "Options")
load("//prelude:library.bzl", "Language", "codegen_rule", "compile")

# Stands in for a file that a plugin had no reason to write; go_library ignores it.
_NOTHING = "//go:build ignore\n\npackage nothing\n"

def _generator(plugin: str, suffix: str, doc: str = "", fill: str | None = _NOTHING, options: Options = {}) -> Generator:
    """Returns a plugin that writes one file beside each source, if its options say so."""

    def files(path: str, options: Options) -> list[str]:
        # Other options give the code another folder.
        if options.get("paths") != "source_relative" or (suffix == ".connect.go" and options.get("package_suffix", "connect")):
            return []
        return [path.removesuffix(".proto") + suffix]

    return Generator(
        plugin = plugin,
        doc = doc,
        files = files,
        fill = fill,
        options = {"paths": "source_relative"} | options,
        own_comments = True,
        unless = ["module"],
    )

def _openapi_files(path: str, options: Options) -> list[str]:
    """Returns the document of a source, unless one document has all of them."""
    if options.get("allow_merge"):
        return []
    return [path.removesuffix(".proto") + ".swagger." + options.get("output_format", "json")]

_GO = Language(
    name = "go",
    plugin = "protoc-gen-go",
    generators = [_generator("protoc-gen-go", ".pb.go", fill = None)],
    extras = {
        "connect": _generator(
            "protoc-gen-connect-go",
            ".connect.go",
            "Whether protoc-gen-connect-go, 1.18 or later, writes services for Connect, into the package of the messages; beside `grpc` only into one of its own, `{\"package_suffix\": \"connect\"}`.",
            # Into the package of the messages: another would need a go_library of its own.
            options = {"package_suffix": ""},
        ),
        "gateway": _generator("protoc-gen-grpc-gateway", ".pb.gw.go", "Whether protoc-gen-grpc-gateway writes a reverse proxy."),
        "grpc": _generator("protoc-gen-go-grpc", "_grpc.pb.go", "Whether protoc-gen-go-grpc writes services for gRPC."),
        "openapi": Generator(plugin = "protoc-gen-openapiv2", doc = "Whether protoc-gen-openapiv2 writes OpenAPI documents.", files = _openapi_files),
    },
    groups = {"srcs": [".go"]},
)

def _check(ctx: AnalysisContext) -> None:
    connect = ctx.attrs.connect
    if ctx.attrs.grpc != False and connect != False and (connect == True or not connect.get("package_suffix")):
        fail("{}: gRPC and Connect would both declare a service's client in the package of the messages. Give Connect's code a package of its own: connect = {{\"package_suffix\": \"connect\"}}".format(ctx.label.raw_target()))

go_proto_codegen = codegen_rule(
    _GO,
    doc = """Go generated from .proto files; see `go_proto_library`.

    The output is a folder in which files lie at their import paths
    (`paths=source_relative`, unless `options` say `paths` or `module`). `[srcs]`
    are the Go files, each of which is a sub-target as well, such as
    `[api/shop.pb.go]`. `grpc` beside `connect` is an error, unless Connect's code
    has a package of its own.
    """,
    check = _check,
)

def go_proto_library(
        name: str,
        runtime: list[str] | None = None,
        package_name: str | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """Go generated from .proto files, and a go_library of it.

    The rule behind it is `go_proto_codegen`, whose attributes, sub-targets and
    errors are those of the target too.

    Args:
        name: Name of the target.
        runtime: What the generated code imports, such as the targets of
            google.golang.org/protobuf. With it the target is a go_library of
            Buck2's prelude as well, and `[code]` is the folder; without, it is
            the folder.
        package_name: Import path of the go_library, as `option go_package` says.
        visibility: Who may depend on the target.
        **kwargs: Attributes of `go_proto_codegen`. With a runtime `deps` are
            those of the go_library as well; beside `proto` they are of the
            go_library alone, and name the libraries of what is imported.
    """
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        default = None,
        codegen = go_proto_codegen,
        attributes = kwargs,
        library = native.go_library,
        library_attributes = {"package_name": package_name, "srcs": [":{}-gen[srcs]".format(name)]},
    )
