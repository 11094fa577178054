"""Python from .proto files.

    load("@buck2-protobuf//rules:python.bzl", "python_proto_library")

    python_proto_library(
        name = "api_py",
        srcs = ["api.proto"],
        pyi = True,
        runtime = ["//third-party:protobuf"],
    )
"""

load("//prelude:generate.bzl", "PROTOC", "generator")
load("//prelude:library.bzl", "compile", "language", "library", "library_attrs", "suffixes")

def _module(path: str) -> str:
    """Returns the path of the module that protoc's Python generator writes."""
    return path.removesuffix(".proto").replace("-", "_").replace(".", "/")

_PYTHON = language(
    name = "python",
    generators = {PROTOC: generator(PROTOC, name = "python", files = suffixes("_pb2.py", stem = _module))},
    extras = {
        "grpc": generator("grpcio-tools", own_comments = True, files = suffixes("_pb2_grpc.py", stem = _module)),
        "mypy": generator("mypy-protobuf", own_comments = True, files = suffixes("_pb2.pyi", stem = _module)),
        "mypy_grpc": generator("protoc-gen-mypy_grpc", own_comments = True, files = suffixes("_pb2_grpc.pyi", stem = _module)),
        "pyi": generator(PROTOC, name = "pyi", files = suffixes("_pb2.pyi", stem = _module)),
    },
    groups = {"srcs": [".py"], "stubs": [".pyi"]},
)

def _python_proto_codegen_impl(ctx: AnalysisContext) -> list[Provider]:
    return library(ctx, _PYTHON)

python_proto_codegen = rule(
    impl = _python_proto_codegen_impl,
    doc = """Python generated from .proto files; see `python_proto_library`.

    The messages are protoc's own, unless `plugin` says `betterproto2`. The
    output is a folder to put on the path of Python: modules lie at their
    import paths. Sub-targets: `[all]` is that with the code of dependencies
    included; `[srcs]` and `[stubs]` are the modules and the .pyi files, each of
    which is a sub-target as well, such as `[api/shop_pb2.py]` (betterproto2
    names its modules after packages: `files` tells which); `[descriptor]` is
    the descriptor set; `[sync]` copies the code into the source tree.
    """,
    attrs = library_attrs(_PYTHON, about = {
        "grpc": "Whether grpcio-tools writes services for grpcio, `_pb2_grpc.py`.",
        "mypy": "Whether mypy-protobuf writes stubs for type checkers.",
        "mypy_grpc": "Whether mypy-protobuf writes stubs of services.",
        "pyi": "Whether protoc itself writes stubs for type checkers.",
    }),
)

def python_proto_library(
        name: str,
        runtime: list[str] | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """Python generated from .proto files, and a python_library of it.

    Args:
        name: of the target.
        runtime: what the generated code imports, such as the target of the
            protobuf wheel. With it the target is a python_library of Buck2's
            prelude as well, and `[code]` is the folder; without, it is the
            folder.
        visibility: of the target.
        **kwargs: attributes of `python_proto_codegen`. With a runtime, `deps`
            are also those of the python_library.
    """
    compile(
        name = name,
        rule = python_proto_codegen,
        library = native.python_library,
        runtime = runtime,
        visibility = visibility,
        attributes = kwargs,
        about = {"base_module": "", "srcs": [":{}-gen[srcs]".format(name)]},
    )
