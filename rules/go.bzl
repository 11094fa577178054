"""Go from .proto files.

    load("@buck2-protobuf//rules:go.bzl", "go_proto_library")

    go_proto_library(
        name = "api_go",
        srcs = ["api.proto"],
        grpc = True,
        package_name = "example.com/shop/api",
        runtime = ["//third-party:protobuf-go", "//third-party:grpc-go"],
    )
"""

load("//prelude:generate.bzl", "generator")
load("//prelude:library.bzl", "compile", "language", "library", "library_attrs")

# A file that go_library leaves out: what stands in for code that a plugin had
# no reason to write.
_NOTHING = "//go:build ignore\n\npackage nothing\n"

def _files(suffix: str) -> typing.Any:
    """Returns the `files` of a Go plugin, whose options say where it writes."""

    def files(path: str, options: dict[str, typing.Any]) -> list[str]:
        if options.get("paths") != "source_relative":
            return []
        folder, slash, base = path.removesuffix(".proto").rpartition("/")
        if suffix == ".connect.go" and options.get("package_suffix", "connect"):
            return []
        return [folder + slash + base + suffix]

    return files

def _openapi_files(path: str, options: dict[str, typing.Any]) -> list[str]:
    """Returns the document of a file, which has one unless all are merged."""
    if options.get("allow_merge"):
        return []
    return [path.removesuffix(".proto") + ".swagger." + options.get("output_format", "json")]

def _generator(plugin: str, suffix: str, fill: str | None = _NOTHING, options: dict[str, typing.Any] = {}) -> struct:
    return generator(
        plugin,
        files = _files(suffix),
        fill = fill,
        own_comments = True,
        options = {"paths": "source_relative"} | options,
        unless = ["module"],
    )

_GO = language(
    name = "go",
    generators = {"protoc-gen-go": _generator("protoc-gen-go", ".pb.go", fill = None)},
    extras = {
        # In the package of the messages: a package of its own would need another go_library.
        "connect": _generator("protoc-gen-connect-go", ".connect.go", options = {"package_suffix": ""}),
        "gateway": _generator("protoc-gen-grpc-gateway", ".pb.gw.go"),
        "grpc": _generator("protoc-gen-go-grpc", "_grpc.pb.go"),
        "openapi": generator("protoc-gen-openapiv2", files = _openapi_files),
    },
    groups = {"srcs": [".go"]},
)

def _go_proto_codegen_impl(ctx: AnalysisContext) -> list[Provider]:
    connect = ctx.attrs.connect
    if ctx.attrs.grpc != False and connect != False and (connect == True or not connect.get("package_suffix")):
        fail("{}: gRPC and Connect would both declare a service's client in the package of the messages. Give Connect's code a package of its own: connect = {{\"package_suffix\": \"connect\"}}".format(ctx.label.raw_target()))
    return library(ctx, _GO)

go_proto_codegen = rule(
    impl = _go_proto_codegen_impl,
    doc = """Go generated from .proto files; see `go_proto_library`.

    The output is a folder in which files lie at their import paths
    (`paths=source_relative`, unless `options` say `paths` or `module`).
    Sub-targets: `[all]` is that with the code of dependencies included;
    `[srcs]` are the Go files, each of which is a sub-target as well, such as
    `[api/shop.pb.go]`; `[descriptor]` is the descriptor set; `[sync]` copies
    the code into the source tree.
    """,
    attrs = library_attrs(_GO, about = {
        "connect": "Whether protoc-gen-connect-go, 1.18 or later, writes services for Connect, into the package of the messages; beside `grpc` only into one of its own, `{\"package_suffix\": \"connect\"}`.",
        "gateway": "Whether protoc-gen-grpc-gateway writes a reverse proxy.",
        "grpc": "Whether protoc-gen-go-grpc writes services for gRPC.",
        "openapi": "Whether protoc-gen-openapiv2 writes OpenAPI documents.",
    }),
)

def go_proto_library(
        name: str,
        runtime: list[str] | None = None,
        package_name: str | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """Go generated from .proto files, and a go_library of it.

    Args:
        name: of the target.
        runtime: what the generated code imports, such as the targets of
            google.golang.org/protobuf. With it the target is a go_library of
            Buck2's prelude as well, and `[code]` is the folder; without, it is
            the folder.
        package_name: import path of the go_library, as `option go_package` says.
        visibility: of the target.
        **kwargs: attributes of `go_proto_codegen`. With a runtime, `deps` are
            also those of the go_library.
    """
    compile(
        name = name,
        rule = go_proto_codegen,
        library = native.go_library,
        runtime = runtime,
        visibility = visibility,
        attributes = kwargs,
        about = {"package_name": package_name, "srcs": [":{}-gen[srcs]".format(name)]},
    )
