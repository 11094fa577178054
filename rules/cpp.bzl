"""C++ from .proto files.

```python
load("@buck2-protobuf//rules:cpp.bzl", "cpp_proto_library")

cpp_proto_library(
    name = "api_cpp",
    srcs = ["api.proto"],
    runtime = ["//third-party:protobuf"],
)
```
"""

load("//prelude:generate.bzl", "Generator", "PROTOC")
load("//prelude:library.bzl", "Language", "codegen_rule", "compile", "suffixes")
load("//prelude:runtimes.bzl", "default_runtimes")

_CPP = Language(
    name = "cpp",
    plugin = PROTOC,
    generators = [Generator(plugin = PROTOC, name = "cpp", files = suffixes(".pb.cc", ".pb.h"))],
    extras = {
        "grpc": Generator(
            plugin = "grpc-cpp",
            name = "grpc",
            doc = "Whether gRPC's plugin, which must be in the lock as grpc-cpp, writes services.",
            files = suffixes(".grpc.pb.cc", ".grpc.pb.h"),
            hint = "The catalogue has no build of grpc_cpp_plugin: add [plugins.grpc-cpp] with version, source (the URL of your builds) and binary = \"grpc_cpp_plugin\" to plugins.toml",
        ),
    },
    groups = {"headers": [".h"], "srcs": [".cc"]},
)

cpp_proto_codegen = codegen_rule(
    _CPP,
    doc = """C++ generated from .proto files; see `cpp_proto_library`.

    The output is a folder for `-I`, with files at their import paths. `[srcs]` and
    `[headers]` are the .cc and .h files, each of which is also a sub-target, such
    as `[api/shop.pb.h]`.
    """,
)

def cpp_proto_library(
        name: str,
        runtime: list[str] | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """C++ generated from .proto files, and a cxx_library of it.

    The underlying rule is `cpp_proto_codegen`; the target has its attributes,
    sub-targets and errors.

    Args:
        name: Name of the target.
        runtime: What the generated code includes: libprotobuf, which brings abseil, of
            the release of protoc; its headers refuse another one. By default the
            targets that `runtimes` of `protobuf_plugins` names for `cpp`, where
            `runtimes` of `[buck2_protobuf]` lists `cpp`. With it the target is also
            a cxx_library of Buck2's prelude, and `[code]` is the folder; without
            it, the target is the folder.
        visibility: Who may depend on the target.
        **kwargs: Attributes of `cpp_proto_codegen`. With a runtime, `deps` are also
            those of the cxx_library; with `proto`, they are only those of the
            cxx_library: the libraries for what is imported.
    """
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        default = default_runtimes("cpp"),
        codegen = cpp_proto_codegen,
        attributes = kwargs,
        library = native.cxx_library,
        library_attributes = {
            "exported_headers": [":{}-gen[headers]".format(name)],
            "header_namespace": "",
            "srcs": [":{}-gen[srcs]".format(name)],
        },
        deps = "exported_deps",
    )
