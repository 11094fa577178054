"""Python from .proto files.

```python
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")

python_proto_library(
    name = "api_py",
    srcs = ["api.proto"],
    pyi = True,
    runtime = ["//third-party:protobuf"],
)
```
"""

load("//prelude:generate.bzl", "Generator", "PROTOC")
load("//prelude:library.bzl", "Language", "codegen_rule", "compile", "suffixes")
load("//prelude:runtimes.bzl", "default_runtimes")

def _module(path: str) -> str:
    """Returns the path of the module that protoc's Python generator writes."""
    return path.removesuffix(".proto").replace("-", "_").replace(".", "/")

def _generator(plugin: str, ending: str, doc: str = "", name: str | None = None, runtime: str = "") -> Generator:
    return Generator(plugin = plugin, name = name, doc = doc, runtime = runtime, files = suffixes(ending, stem = _module), own_comments = True)

_PYTHON = Language(
    name = "python",
    plugin = PROTOC,
    generators = [_generator(PROTOC, "_pb2.py", name = "python", runtime = "protobuf")],
    extras = {
        "grpc": _generator("grpcio-tools", "_pb2_grpc.py", "Whether grpcio-tools writes services for grpcio, `_pb2_grpc.py`.", runtime = "grpcio"),
        "mypy": _generator("mypy-protobuf", "_pb2.pyi", "Whether mypy-protobuf writes stubs for type checkers."),
        "mypy_grpc": _generator("protoc-gen-mypy_grpc", "_pb2_grpc.pyi", "Whether mypy-protobuf writes stubs of services."),
        "pyi": _generator(PROTOC, "_pb2.pyi", "Whether protoc itself writes stubs for type checkers.", name = "pyi"),
    },
    groups = {"srcs": [".py"], "stubs": [".pyi"]},
)

python_proto_codegen = codegen_rule(
    _PYTHON,
    doc = """Python generated from .proto files; see `python_proto_library`.

    The output is a folder for Python's path, with modules at their import paths.
    `[srcs]` and `[stubs]` are the modules and the .pyi files, each of which is also
    a sub-target, such as `[api/shop_pb2.py]`. The messages are protoc's own, unless
    `plugin` is `betterproto2`; it names its modules after packages, so list them in
    `files`.
    """,
)

def python_proto_library(
        name: str,
        runtime: list[str] | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """Python generated from .proto files, and a python_library of it.

    The underlying rule is `python_proto_codegen`; the target has its attributes,
    sub-targets and errors.

    Args:
        name: Name of the target.
        runtime: What the generated code imports, such as the target of the protobuf
            wheel. With it the target is also a python_library of Buck2's prelude,
            and `[code]` is the folder; without it, the target is the folder.
        visibility: Who may depend on the target.
        **kwargs: Attributes of `python_proto_codegen`. With a runtime, `deps` are
            also those of the python_library; with `proto`, they are only those of
            the python_library: the libraries for what is imported.
    """
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        default = default_runtimes("python", ["grpcio-tools"] if kwargs.get("grpc", False) != False else []),
        codegen = python_proto_codegen,
        attributes = kwargs,
        library = native.python_library,
        library_attributes = {"base_module": "", "srcs": [":{}-gen[srcs]".format(name)]},
    )
