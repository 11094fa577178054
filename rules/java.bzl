"""Java from .proto files.

    load("@buck2-protobuf//rules:java.bzl", "java_proto_library")

    java_proto_library(
        name = "api_java",
        srcs = ["api.proto"],
        runtime = ["//third-party:protobuf-java"],
    )
"""

load("//prelude:generate.bzl", "PROTOC", "generator")
load("//prelude:library.bzl", "compile", "language", "library", "library_attrs")

_JAVA = language(
    name = "java",
    generators = {PROTOC: generator(PROTOC, name = "java")},
    extras = {
        "grpc": generator("protoc-gen-grpc-java", name = "grpc-java"),
        "kotlin": generator(PROTOC, name = "kotlin"),
    },
    # What java_library takes for an archive of sources.
    archive = "-sources.jar",
)

def _java_proto_codegen_impl(ctx: AnalysisContext) -> list[Provider]:
    return library(ctx, _JAVA)

java_proto_codegen = rule(
    impl = _java_proto_codegen_impl,
    doc = """Java generated from .proto files; see `java_proto_library`.

    The output is a folder of sources at the paths of their packages, which the
    options in the .proto files decide. Sub-targets: `[all]` is that with the
    code of dependencies included; `[archive]` is a sources jar; each of `files`;
    `[descriptor]` is the descriptor set; `[sync]` copies the code into the
    source tree.
    """,
    attrs = library_attrs(_JAVA, about = {
        "grpc": "Whether gRPC's plugin for Java writes services.",
        "kotlin": "Whether protoc writes its Kotlin beside the Java.",
    }),
)

def java_proto_library(
        name: str,
        runtime: list[str] | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """Java generated from .proto files, and a java_library of it.

    Args:
        name: of the target.
        runtime: what the generated code imports, such as the target of
            protobuf-java. With it the target is a java_library of Buck2's
            prelude as well, and `[code]` is the folder; without, it is the
            folder.
        visibility: of the target.
        **kwargs: attributes of `java_proto_codegen`. With a runtime, `deps` are
            also those of the java_library.
    """
    compile(
        name = name,
        rule = java_proto_codegen,
        library = native.java_library,
        runtime = runtime,
        visibility = visibility,
        attributes = kwargs,
        about = {"srcs": [":{}-gen[archive]".format(name)]},
        deps = "exported_deps",
    )
