"""proto_library: .proto files and the descriptor set that protoc makes of them."""

load("@prelude//:artifact_tset.bzl", "make_artifact_tset", "project_artifacts")
load(":providers.bzl", "ProtoInfo", "ProtobufToolchainInfo")

# The folder in which sources lie at their import paths. It is named so that no
# other part of a path is mistaken for it.
_ROOT = "__protos__"

def proto_attrs() -> dict[str, Attr]:
    """Returns the attributes that `compile_protos` reads."""
    return {
        "deps": attrs.list(
            attrs.dep(providers = [ProtoInfo]),
            default = [],
            doc = "Libraries whose files are imported. The well-known types come with protoc and need none.",
        ),
        "import_prefix": attrs.string(default = "", doc = "Folder put before the import paths of `srcs`."),
        "labels": attrs.list(attrs.string(), default = [], doc = "Words for queries; nothing here reads them."),
        "srcs": attrs.list(
            attrs.source(),
            default = [],
            doc = "The .proto files. Each is imported by its path from the root of the cell.",
        ),
        "strip_import_prefix": attrs.string(
            default = "",
            doc = "Folder taken from the front of the import paths of `srcs`, relative to the package (`.` is the package itself), or with a leading slash to the root of the cell.",
        ),
        "_protobuf_toolchain": attrs.toolchain_dep(
            default = "toolchains//:protobuf",
            providers = [ProtobufToolchainInfo],
            doc = "protoc and the plugins.",
        ),
    }

def compile_protos(ctx: AnalysisContext) -> Provider:
    """Declares the descriptor sets of a target's `srcs`.

    One has comments, for what shows them. The other has none: it is all that an
    importer needs, and an edit that changes no declaration ends with it. Each
    is made when something asks for it.

    Args:
        ctx: of a rule with `proto_attrs`.

    Returns:
        The ProtoInfo of the target.
    """
    srcs = {}
    for src in ctx.attrs.srcs:
        path = _import_path(ctx, src)
        if not path.endswith(".proto"):
            fail("{}: `{}` is not a .proto file".format(ctx.label.raw_target(), src.short_path))
        if path in srcs:
            fail("{}: two sources have the import path `{}`".format(ctx.label.raw_target(), path))
        srcs[path] = src
    if not srcs:
        fail("{}: `srcs` names no .proto file".format(ctx.label.raw_target()))
    deps = [dep[ProtoInfo] for dep in ctx.attrs.deps]
    imported = make_artifact_tset(
        actions = ctx.actions,
        children = [dep.importable for dep in deps],
    )

    # Copies: they depend on neither the place of the sources nor symlinks.
    root = ctx.actions.copied_dir(_ROOT, srcs, has_content_based_path = True)
    paths = list(srcs)
    inputs = protoc_inputs(ctx, [root], imported)
    descriptor = _descriptor_set(ctx, ctx.label.name + ".binpb", inputs + ["--include_source_info"], paths)
    bare = _descriptor_set(ctx, ctx.label.name + ".bare.binpb", inputs, paths)
    transitive = {path: True for path in paths}
    for dep in deps:
        transitive.update({path: True for path in dep.transitive_paths})
    return ProtoInfo(
        descriptor = descriptor,
        descriptors = make_artifact_tset(
            actions = ctx.actions,
            label = ctx.label,
            artifacts = [descriptor],
            children = [dep.descriptors for dep in deps],
        ),
        folder = root,
        importable = make_artifact_tset(
            actions = ctx.actions,
            label = ctx.label,
            artifacts = [bare],
            children = [imported],
        ),
        imported = imported,
        paths = paths,
        sources = make_artifact_tset(
            actions = ctx.actions,
            label = ctx.label,
            artifacts = [root],
            children = [dep.sources for dep in deps],
        ),
        transitive_paths = list(transitive),
    )

def protoc_inputs(ctx: AnalysisContext, folders: list[typing.Any] = [], descriptors: typing.Any = None) -> list[typing.Any]:
    """Tells protoc where the files are that it compiles and that those import.

    Args:
        ctx: of a rule with `_protobuf_toolchain` of `proto_attrs`.
        folders: where .proto files lie at their import paths.
        descriptors: ArtifactTSet of descriptor sets that stand in for .proto
            files; where `folders` have a file as well, theirs counts.

    Returns:
        Lines of a file of arguments. The well-known types, which come with
        protoc, are found as well.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    lines = [cmd_args(folders, toolchain.protoc.include or [], format = "-I{}")]
    projected = project_artifacts(ctx.actions, descriptors) if descriptors else []
    if projected:
        sets = cmd_args(projected, delimiter = ";" if toolchain.windows else ":")
        lines.append(cmd_args("--descriptor_set_in=", sets, delimiter = ""))
    return lines

def _descriptor_set(ctx: AnalysisContext, name: str, arguments: list[typing.Any], paths: list[str]) -> Artifact:
    """Declares the descriptor set of some files.

    Args:
        ctx: of a rule with `_protobuf_toolchain` of `proto_attrs`.
        name: of the file.
        arguments: `protoc_inputs`, and what the set shall hold beside the files.
        paths: import paths of the files.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    descriptor = ctx.actions.declare_output(name, has_content_based_path = True)
    file = ctx.actions.write(
        name + ".args",
        arguments + ["--retain_options", paths],
        has_content_based_path = True,
        with_inputs = True,
    )
    ctx.actions.run(
        cmd_args(
            toolchain.protoc.executable,
            cmd_args(file, format = "@{}"),
            cmd_args(descriptor.as_output(), format = "--descriptor_set_out={}"),
        ),
        category = "protoc_descriptor",
        identifier = name,
        allow_cache_upload = True,
        env = {},
        error_handler = protoc_error,
    )
    return descriptor

def protoc_error(ctx: ActionErrorCtx) -> list[ActionSubError]:
    """Turns protoc's messages into errors at import paths.

    protoc names a source by where it lies, `…/__protos__/a/b.proto:3:1: …`.

    Args:
        ctx: of the action that failed.

    Returns:
        One error for each message about a place in a .proto file.
    """
    errors = []
    for line in ctx.stderr.splitlines():
        message = line.rpartition("/" + _ROOT + "/")[2]
        file, _, rest = message.partition(".proto:")
        position = rest.split(":", 2)
        if " " in file or len(position) < 3 or not (position[0].isdigit() and position[1].isdigit()):
            continue
        remediation = None
        if "was not found or had errors" in rest:
            remediation = "add the library that has the imported file to `deps`; an import path is a path from the root of the cell"
        errors.append(ctx.new_sub_error(
            category = "protoc",
            file = file + ".proto",
            lnum = int(position[0]),
            col = int(position[1]),
            message = position[2].strip(),
            remediation = remediation,
            show_in_stderr = True,
        ))
    return errors

def declare_image(ctx: AnalysisContext, name: str, paths: list[str], descriptors: typing.Any) -> Artifact:
    """Declares one descriptor set of some files and of all that they import.

    Args:
        ctx: of a rule with `proto_attrs`, or with `_protobuf_toolchain` of them.
        name: of the file.
        paths: import paths of the files.
        descriptors: ArtifactTSet of the descriptor sets of those and of all that they import.

    Returns:
        The descriptor set, imported files first, the well-known types among them.
    """
    return _descriptor_set(ctx, name, protoc_inputs(ctx, descriptors = descriptors) + ["--include_imports", "--include_source_info"], paths)

def _import_path(ctx: AnalysisContext, src: Artifact) -> str:
    """Returns the path at which other files import a source."""
    package = ctx.label.package if src.is_source else src.owner.package
    path = _join(package, src.short_path)
    strip = ctx.attrs.strip_import_prefix
    if strip:
        strip = strip.removesuffix("/") if strip != "." else ""
        folder = strip.removeprefix("/") if strip.startswith("/") else _join(package, strip).removesuffix("/")
        if folder and not path.startswith(folder + "/"):
            fail("{}: `{}` is not below `{}`, which `strip_import_prefix` takes away".format(ctx.label.raw_target(), path, folder))
        path = path.removeprefix(folder + "/")
    return _join(ctx.attrs.import_prefix.strip("/"), path)

def _join(folder: str, path: str) -> str:
    return folder + "/" + path if folder else path

def _proto_library_impl(ctx: AnalysisContext) -> list[Provider]:
    info = compile_protos(ctx)
    return [
        DefaultInfo(
            default_output = info.descriptor,
            sub_targets = {
                "descriptor": [DefaultInfo(default_output = info.descriptor)],
                "image": [DefaultInfo(default_output = declare_image(ctx, ctx.label.name + ".image.binpb", info.paths, info.descriptors))],
                "sources": [DefaultInfo(default_output = info.folder)],
            },
        ),
        info,
    ]

proto_library = rule(
    impl = _proto_library_impl,
    doc = """Some .proto files, compiled to a FileDescriptorSet.

    A file's import path is its path from the root of the cell, unless
    `strip_import_prefix` and `import_prefix` say otherwise. The descriptor set,
    which is the output, holds the target's own files, with source info and
    options; those of its dependencies have their own.

    Sub-targets: `[descriptor]` is that same file; `[image]` is one descriptor
    set with everything that the files import, the well-known types among it,
    for tools such as buf and grpcurl; `[sources]` is a folder that holds the
    target's own .proto files at their import paths.

        proto_library(
            name = "shop_proto",
            srcs = ["shop.proto"],
            deps = ["//money:money_proto"],
        )
    """,
    attrs = proto_attrs(),
)
