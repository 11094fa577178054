"""Java from .proto files.

```python
load("@buck2-protobuf//rules:java.bzl", "java_proto_library")

java_proto_library(
    name = "api_java",
    srcs = ["api.proto"],
    runtime = ["//third-party:protobuf-java"],
)
```
"""

load("//prelude:generate.bzl", "Generator", "PROTOC")
load("//prelude:library.bzl", "Language", "codegen_rule", "compile")
load("//prelude:runtimes.bzl", "default_runtimes")

_JAVA = Language(
    name = "java",
    plugin = PROTOC,
    generators = [Generator(plugin = PROTOC, name = "java", runtime = "protobuf-java")],
    extras = {
        "grpc": Generator(plugin = "protoc-gen-grpc-java", name = "grpc-java", runtime = "grpc", options = {"@generated": "omit"}, doc = "Whether gRPC's plugin for Java writes services."),
        "kotlin": Generator(plugin = PROTOC, name = "kotlin", doc = "Whether protoc also writes Kotlin."),
    },
    # java_library uses this extension for an archive of sources.
    archive = "-sources.jar",
)

java_proto_codegen = codegen_rule(
    _JAVA,
    doc = """Java generated from .proto files; see `java_proto_library`.

    The output is a folder of sources at the paths of their packages, which are set
    by options in the .proto files. `[archive]` is a jar of the sources.
    """,
)

def java_proto_library(
        name: str,
        runtime: list[str] | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """Java generated from .proto files, and a java_library of it.

    The underlying rule is `java_proto_codegen`; the target has its attributes,
    sub-targets and errors.

    Args:
        name: Name of the target.
        runtime: What the generated code imports, such as the target of
            protobuf-java; by default the runtimes of the lock, where `runtimes` of
            `[buck2_protobuf]` lists `java`. With it the target is also a
            java_library of Buck2's prelude, and `[code]` is the folder; without
            it, the target is the folder.
        visibility: Who may depend on the target.
        **kwargs: Attributes of `java_proto_codegen`. With a runtime, `deps` are
            also those of the java_library; with `proto`, they are only those of the
            java_library: the libraries for what is imported.
    """
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        default = default_runtimes("java", ["protoc-gen-grpc-java"] if kwargs.get("grpc", False) != False else []),
        codegen = java_proto_codegen,
        attributes = kwargs,
        library = native.java_library,
        library_attributes = {"srcs": [":{}-gen[archive]".format(name)]},
        deps = "exported_deps",
    )
