"""Java from .proto files.

    load("@buck2-protobuf//rules:java.bzl", "java_proto_library")

    java_proto_library(
        name = "api_java",
        srcs = ["api.proto"],
        runtime = ["//third-party:protobuf-java"],
    )
"""

load("//prelude:generate.bzl", "Generator", "PROTOC")
load("//prelude:library.bzl", "Language", "codegen_rule", "compile")

_JAVA = Language(
    name = "java",
    plugin = PROTOC,
    generators = [Generator(plugin = PROTOC, name = "java")],
    extras = {
        "grpc": Generator(plugin = "protoc-gen-grpc-java", name = "grpc-java", doc = "Whether gRPC's plugin for Java writes services."),
        "kotlin": Generator(plugin = PROTOC, name = "kotlin", doc = "Whether protoc writes its Kotlin beside the Java."),
    },
    # What java_library takes for an archive of sources.
    archive = "-sources.jar",
)

java_proto_codegen = codegen_rule(
    _JAVA,
    doc = """Java generated from .proto files; see `java_proto_library`.

    The output is a folder of sources at the paths of their packages, which
    options in the .proto files decide. `[archive]` is a sources jar.
    """,
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
            also those of the java_library,
            and beside `proto` of that alone.
    """
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        codegen = java_proto_codegen,
        attributes = kwargs,
        library = native.java_library,
        library_attributes = {"srcs": [":{}-gen[archive]".format(name)]},
        deps = "exported_deps",
    )
