"""C++ from .proto files.

    load("@buck2-protobuf//rules:cpp.bzl", "cpp_proto_library")

    cpp_proto_library(
        name = "api_cpp",
        srcs = ["api.proto"],
        runtime = ["//third-party:protobuf"],
    )
"""

load("//prelude:generate.bzl", "PROTOC", "generator")
load("//prelude:library.bzl", "compile", "language", "library", "library_attrs", "suffixes")

_CPP = language(
    name = "cpp",
    generators = {PROTOC: generator(PROTOC, name = "cpp", files = suffixes(".pb.cc", ".pb.h"))},
    extras = {
        "grpc": generator(
            "grpc-cpp",
            name = "grpc",
            files = suffixes(".grpc.pb.cc", ".grpc.pb.h"),
            hint = "The catalogue has no build of grpc_cpp_plugin: add [plugins.grpc-cpp] with version, source (where your builds of it lie) and binary = \"grpc_cpp_plugin\" to plugins.toml",
        ),
    },
    groups = {"headers": [".h"], "srcs": [".cc"]},
)

def _cpp_proto_codegen_impl(ctx: AnalysisContext) -> list[Provider]:
    return library(ctx, _CPP)

cpp_proto_codegen = rule(
    impl = _cpp_proto_codegen_impl,
    doc = """C++ generated from .proto files; see `cpp_proto_library`.

    The output is a folder for `-I`: files lie at their import paths.
    Sub-targets: `[all]` is that with the code of dependencies included;
    `[srcs]` and `[headers]` are the .cc and the .h files, each of which is a
    sub-target as well, such as `[api/shop.pb.h]`; `[descriptor]` is the
    descriptor set; `[sync]` copies the code into the source tree.
    """,
    attrs = library_attrs(_CPP, about = {
        "grpc": "Whether gRPC's plugin, which the lock must have as grpc-cpp, writes services.",
    }),
)

def cpp_proto_library(
        name: str,
        runtime: list[str] | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """C++ generated from .proto files, and a cxx_library of it.

    Args:
        name: of the target.
        runtime: what the generated code includes: libprotobuf of the version
            that belongs to protoc. With it the target is a cxx_library of
            Buck2's prelude as well, and `[code]` is the folder; without, it is
            the folder.
        visibility: of the target.
        **kwargs: attributes of `cpp_proto_codegen`. With a runtime, `deps` are
            also those of the cxx_library.
    """
    compile(
        name = name,
        rule = cpp_proto_codegen,
        library = native.cxx_library,
        runtime = runtime,
        visibility = visibility,
        attributes = kwargs,
        about = {
            "exported_headers": [":{}-gen[headers]".format(name)],
            "header_namespace": "",
            "srcs": [":{}-gen[srcs]".format(name)],
        },
        deps = "exported_deps",
    )
