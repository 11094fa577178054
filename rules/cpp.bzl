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

_CPP = Language(
    name = "cpp",
    plugin = PROTOC,
    generators = [Generator(plugin = PROTOC, name = "cpp", files = suffixes(".pb.cc", ".pb.h"))],
    extras = {
        "grpc": Generator(
            plugin = "grpc-cpp",
            name = "grpc",
            doc = "Whether gRPC's plugin, which the lock must have as grpc-cpp, writes services.",
            files = suffixes(".grpc.pb.cc", ".grpc.pb.h"),
            hint = "The catalogue has no build of grpc_cpp_plugin: add [plugins.grpc-cpp] with version, source (where your builds of it lie) and binary = \"grpc_cpp_plugin\" to plugins.toml",
        ),
    },
    groups = {"headers": [".h"], "srcs": [".cc"]},
)

cpp_proto_codegen = codegen_rule(
    _CPP,
    doc = """C++ generated from .proto files; see `cpp_proto_library`.

    The output is a folder for `-I`: files lie at their import paths. `[srcs]` and
    `[headers]` are the .cc and the .h files, each of which is a sub-target as
    well, such as `[api/shop.pb.h]`.
    """,
)

def cpp_proto_library(
        name: str,
        runtime: list[str] | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """C++ generated from .proto files, and a cxx_library of it.

    The rule behind it is `cpp_proto_codegen`, whose attributes, sub-targets and
    errors are those of the target too.

    Args:
        name: Name of the target.
        runtime: What the generated code includes: libprotobuf of the version
            that belongs to protoc. With it the target is a cxx_library of
            Buck2's prelude as well, and `[code]` is the folder; without, it is
            the folder.
        visibility: Who may depend on the target.
        **kwargs: Attributes of `cpp_proto_codegen`. With a runtime `deps` are
            those of the cxx_library as well; beside `proto` they are of the
            cxx_library alone, and name the libraries of what is imported.
    """
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        default = None,
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
