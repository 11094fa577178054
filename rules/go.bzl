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
load("//prelude:runtimes.bzl", "default_runtimes")

# Replaces a file that a plugin omits because it would be empty; go_library ignores it.
_NOTHING = "//go:build ignore\n\npackage nothing\n"

def _generator(plugin: str, suffix: str, doc: str = "", fill: str | None = _NOTHING, options: Options = {}, runtime: str = "") -> Generator:
    """Returns a plugin that writes one file beside each source, if its options say so."""

    def files(path: str, options: Options) -> list[str]:
        # With other options, the code is in another folder.
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
        runtime = runtime,
        unless = ["module"],
    )

def _openapi_files(path: str, options: Options) -> list[str]:
    """Returns the document of a source, unless one document covers all sources."""
    if options.get("allow_merge"):
        return []
    return [path.removesuffix(".proto") + ".swagger." + options.get("output_format", "json")]

_GO = Language(
    name = "go",
    plugin = "protoc-gen-go",
    generators = [_generator("protoc-gen-go", ".pb.go", fill = None, runtime = "protobuf")],
    extras = {
        "connect": _generator(
            "protoc-gen-connect-go",
            ".connect.go",
            "Whether protoc-gen-connect-go, 1.18 or later, writes services for Connect, into the package of the messages; with `grpc`, they must have their own package, `{\"package_suffix\": \"connect\"}`.",
            # Into the package of the messages: another one would need its own
            # go_library.
            options = {"package_suffix": ""},
            runtime = "connect",
        ),
        "gateway": _generator("protoc-gen-grpc-gateway", ".pb.gw.go", "Whether protoc-gen-grpc-gateway writes a reverse proxy."),
        "grpc": _generator("protoc-gen-go-grpc", "_grpc.pb.go", "Whether protoc-gen-go-grpc writes services for gRPC.", runtime = "grpc"),
        "openapi": Generator(plugin = "protoc-gen-openapiv2", doc = "Whether protoc-gen-openapiv2 writes OpenAPI documents.", files = _openapi_files),
    },
    groups = {"srcs": [".go"]},
)

def _check(ctx: AnalysisContext) -> None:
    connect = ctx.attrs.connect
    if ctx.attrs.grpc != False and connect != False and (connect == True or not connect.get("package_suffix")):
        fail("{}: gRPC and Connect would both declare a service's client in the package of the messages. Give Connect's code its own package: connect = {{\"package_suffix\": \"connect\"}}".format(ctx.label.raw_target()))

go_proto_codegen = codegen_rule(
    _GO,
    doc = """Go generated from .proto files; see `go_proto_library`.

    The output is a folder with files at their import paths
    (`paths=source_relative`, unless `options` has `paths` or `module`). `[srcs]`
    has the Go files, each of which is also a sub-target, such as
    `[api/shop.pb.go]`. `grpc` with `connect` is an error, unless Connect's code has
    its own package.
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

    The underlying rule is `go_proto_codegen`; the target has its attributes,
    sub-targets and errors.

    Args:
        name: Name of the target.
        runtime: What the generated code imports, such as the targets of
            google.golang.org/protobuf; by default the runtimes of the lock, where
            `runtimes` of `[buck2_protobuf]` lists `go`, unless `gateway` is set.
            With it the target is also a go_library of Buck2's prelude, and `[code]`
            is the folder; without it, the target is the folder.
        package_name: Import path of the go_library, as in `option go_package`.
        visibility: Who may depend on the target.
        **kwargs: Attributes of `go_proto_codegen`. With a runtime, `deps` are also
            those of the go_library; with `proto`, they are only those of the
            go_library: the libraries for what is imported.
    """
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        # What a gateway runs on is not among the runtimes of a lock.
        default = None if kwargs.get("gateway", False) != False else default_runtimes("go", [
            extra
            for attr, extra in {"connect": "protoc-gen-connect-go", "grpc": "protoc-gen-go-grpc"}.items()
            if kwargs.get(attr, False) != False
        ]),
        codegen = go_proto_codegen,
        attributes = kwargs,
        library = native.go_library,
        library_attributes = {"package_name": package_name, "srcs": [":{}-gen[srcs]".format(name)]},
    )
