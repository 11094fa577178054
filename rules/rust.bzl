"""Rust from .proto files.

```python
load("@buck2-protobuf//rules:rust.bzl", "rust_proto_library")

rust_proto_library(
    name = "api_rs",
    srcs = ["api.proto"],
    runtime = ["//third-party:prost"],
    tonic = True,
)
```
"""

load("//prelude:generate.bzl", "Generator", "Options")
load("//prelude:library.bzl", "Language", "codegen_rule", "compile")
load("//prelude:runtimes.bzl", "default_runtimes")

def _root(_path: str, options: Options) -> list[str]:
    """Returns the file with all modules, if the options name it."""
    return [options["include_file"]] if "include_file" in options else []

_RUST = Language(
    name = "rust",
    plugin = "protoc-gen-prost",
    # It writes one file for each package, whose name does not depend on the .proto
    # file.
    generators = [Generator(plugin = "protoc-gen-prost", own_comments = True, runtime = "prost")],
    extras = {
        "modules": Generator(
            plugin = "protoc-gen-prost-crate",
            doc = "Whether protoc-gen-prost-crate writes `mod.rs`, which has the modules of all packages.",
            files = _root,
            options = {"include_file": "mod.rs", "no_features": ""},
            own_comments = True,
            unless = ["gen_crate"],
        ),
        "serde": Generator(plugin = "protoc-gen-prost-serde", doc = "Whether protoc-gen-prost-serde writes serde implementations for proto3 JSON.", runtime = "pbjson"),
        "tonic": Generator(plugin = "protoc-gen-tonic", doc = "Whether protoc-gen-tonic writes services for gRPC.", own_comments = True, runtime = "tonic"),
    },
)

rust_proto_codegen = codegen_rule(
    _RUST,
    doc = """Rust generated from .proto files; see `rust_proto_library`.

    The output is a folder with one file for each package of the .proto files, named
    after it. `files` makes it a sub-target, such as
    `files = ["shop/v1/shop.v1.rs"]`.
    """,
)

def rust_proto_library(
        name: str,
        runtime: list[str] | None = None,
        crate: str | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """Rust generated from .proto files, and a rust_library of it.

    The underlying rule is `rust_proto_codegen`; the target has its attributes,
    sub-targets and errors.

    Args:
        name: Name of the target.
        runtime: The crates that the generated code uses, such as the target of
            prost; by default the runtimes of the lock, where `runtimes` of
            `[buck2_protobuf]` lists `rust`. With it the target is also a rust_library
            of Buck2's prelude, whose root is the `mod.rs` of `modules`, and `[code]` is
            the folder; without it, the target is the folder.
        crate: Name of the crate; the default is the target's name.
        visibility: Who may depend on the target.
        **kwargs: Attributes of `rust_proto_codegen`. With a runtime, `deps` are
            also those of the rust_library; with `proto`, they are only those of the
            rust_library: the libraries for what is imported.
    """
    default = default_runtimes("rust", [
        extra
        for attr, extra in {"serde": "protoc-gen-prost-serde", "tonic": "protoc-gen-tonic"}.items()
        if kwargs.get(attr, False) != False
    ])
    attributes = kwargs if runtime == None and default == None else {"modules": True} | kwargs
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        default = default,
        codegen = rust_proto_codegen,
        attributes = attributes,
        library = native.rust_library,
        library_attributes = {
            "crate": crate or name.replace("-", "_"),
            "crate_root": "src/mod.rs",
            "mapped_srcs": {":{}-gen".format(name): "src"},
        },
    )
