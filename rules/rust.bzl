"""Rust from .proto files.

    load("@buck2-protobuf//rules:rust.bzl", "rust_proto_library")

    rust_proto_library(
        name = "api_rs",
        srcs = ["api.proto"],
        runtime = ["//third-party:prost"],
        tonic = True,
    )
"""

load("//prelude:generate.bzl", "generator")
load("//prelude:library.bzl", "compile", "language", "library", "library_attrs")

def _root(_path: str, options: dict[str, typing.Any]) -> list[str]:
    """Returns the one file of all modules, if the options name it."""
    return [options["include_file"]] if "include_file" in options else []

_RUST = language(
    name = "rust",
    # One file for each package: its name is not that of a .proto file.
    generators = {"protoc-gen-prost": generator("protoc-gen-prost", own_comments = True)},
    extras = {
        "modules": generator("protoc-gen-prost-crate", own_comments = True, options = {"include_file": "mod.rs", "no_features": ""}, files = _root, unless = ["gen_crate"]),
        "serde": generator("protoc-gen-prost-serde"),
        "tonic": generator("protoc-gen-tonic", own_comments = True),
    },
)

def _rust_proto_codegen_impl(ctx: AnalysisContext) -> list[Provider]:
    return library(ctx, _RUST)

rust_proto_codegen = rule(
    impl = _rust_proto_codegen_impl,
    doc = """Rust generated from .proto files; see `rust_proto_library`.

    The output is a folder with one file for each package of the .proto files,
    named after it. Sub-targets: `[all]` is that with the code of dependencies
    included; each of `files`, such as `files = ["shop/v1/shop.v1.rs"]`;
    `[descriptor]` is the descriptor set; `[sync]` copies the code into the
    source tree.
    """,
    attrs = library_attrs(_RUST, about = {
        "modules": "Whether protoc-gen-prost-crate writes `mod.rs`, which has the modules of all packages.",
        "serde": "Whether protoc-gen-prost-serde writes the JSON of proto3 for serde.",
        "tonic": "Whether protoc-gen-tonic writes services for gRPC.",
    }),
)

def rust_proto_library(
        name: str,
        runtime: list[str] | None = None,
        crate: str | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """Rust generated from .proto files, and a rust_library of it.

    Args:
        name: of the target.
        runtime: the crates that the generated code uses, such as the target of
            prost. With it the target is a rust_library of Buck2's prelude as
            well, whose root is the `mod.rs` of `modules`, and `[code]` is the
            folder; without, it is the folder.
        crate: name of the crate; the default is the target's.
        visibility: of the target.
        **kwargs: attributes of `rust_proto_codegen`. With a runtime, `deps` are
            also those of the rust_library.
    """
    attributes = kwargs if runtime == None else {"modules": True} | kwargs
    compile(
        name = name,
        rule = rust_proto_codegen,
        library = native.rust_library,
        runtime = runtime,
        visibility = visibility,
        attributes = attributes,
        about = {
            "crate": crate or name.replace("-", "_"),
            "crate_root": "src/mod.rs",
            "mapped_srcs": {":{}-gen".format(name): "src"},
        },
    )
