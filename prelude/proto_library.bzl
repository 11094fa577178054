"""proto_library: .proto files, and the descriptor sets that protoc makes from them."""

load("@prelude//:artifact_tset.bzl", "ArtifactTSet", "make_artifact_tset", "project_artifacts")
load(":providers.bzl", "ProtoInfo", "ProtobufToolchainInfo")

# The folder with the sources at their import paths. The name is unlikely to be any
# other part of a path.
ROOT = "__protos__"

# The attribute `labels` of every rule.
LABELS = attrs.list(attrs.string(), default = [], doc = "Labels for queries and test runners; the rules ignore them.")

def proto_attrs() -> dict[str, Attr]:
    """Returns the attributes that `compile_protos` reads."""
    return {
        "deps": attrs.list(
            attrs.dep(providers = [ProtoInfo]),
            default = [],
            doc = "Libraries whose files are imported. None is needed for the well-known types, which come with protoc.",
        ),
        "import_prefix": attrs.string(default = "", doc = "Folder to add in front of the import paths of `srcs`."),
        "labels": LABELS,
        "srcs": attrs.list(
            attrs.source(),
            default = [],
            doc = "The .proto files. Each is imported by its path from the root of the cell.",
        ),
        "strip_import_prefix": attrs.string(
            default = "",
            doc = "Folder to remove from the front of the import paths of `srcs`, relative to the package (`.` is the package itself) or, with a leading slash, to the root of the cell.",
        ),
    } | toolchain_attr()

def toolchain_attr() -> dict[str, Attr]:
    """Returns the attribute `_protobuf_toolchain`."""
    return {
        "_protobuf_toolchain": attrs.toolchain_dep(
            default = "toolchains//:protobuf",
            providers = [ProtobufToolchainInfo],
            doc = "protoc and the plugins.",
        ),
    }

def compile_protos(ctx: AnalysisContext) -> Provider:
    """Declares the descriptor sets of a target's `srcs`. Each is only built when it is needed.

    One has comments, for tools that show them. The other has none and is all that
    importers read, so an edit that changes no declaration does not affect them.

    Args:
        ctx: of a rule with `proto_attrs`.

    Returns:
        The ProtoInfo of the target. It fails if `srcs` has no file, a file that is
        not a .proto file, two files with one import path, or one that is not below
        `strip_import_prefix`.
    """
    srcs = _sources(ctx)
    deps = [dep[ProtoInfo] for dep in ctx.attrs.deps]
    imported = make_artifact_tset(actions = ctx.actions, children = [dep.importable for dep in deps])

    def joined(artifact: Artifact, children: list[ArtifactTSet]) -> ArtifactTSet:
        return make_artifact_tset(actions = ctx.actions, label = ctx.label, artifacts = [artifact], children = children)

    # Copies, so that neither the location of the sources nor a symlink matters.
    folder = ctx.actions.copied_dir(ROOT, srcs, has_content_based_path = True)
    paths = list(srcs)
    inputs = protoc_inputs(ctx, [folder], imported)
    descriptor = descriptor_set(ctx, ctx.label.name + ".binpb", inputs + ["--include_source_info"], paths)
    bare = descriptor_set(ctx, ctx.label.name + ".bare.binpb", inputs, paths)
    return ProtoInfo(
        descriptor = descriptor,
        descriptors = joined(descriptor, [dep.descriptors for dep in deps]),
        folder = folder,
        importable = joined(bare, [imported]),
        imported = imported,
        paths = paths,
        sources = joined(folder, [dep.sources for dep in deps]),
        transitive_paths = list({path: True for some in [paths] + [dep.transitive_paths for dep in deps] for path in some}),
    )

def _sources(ctx: AnalysisContext) -> dict[str, Artifact]:
    """Returns the sources of a target by import path."""
    srcs = {}
    for src in ctx.attrs.srcs:
        path = _import_path(ctx, src)
        if not path.endswith(".proto"):
            fail("{}: `{}` is not a .proto file".format(ctx.label.raw_target(), src.short_path))
        if path in srcs:
            fail("{}: two sources have the import path `{}`".format(ctx.label.raw_target(), path))
        srcs[path] = src
    if not srcs:
        fail("{}: `srcs` has no .proto file".format(ctx.label.raw_target()))
    return srcs

def protoc_inputs(
        ctx: AnalysisContext,
        folders: list[Artifact | TransitiveSetArgsProjection] = [],
        descriptors: ArtifactTSet | None = None) -> list[str | cmd_args]:
    """Returns the arguments that tell protoc where to find files.

    Args:
        ctx: of a rule with `_protobuf_toolchain` of `toolchain_attr`.
        folders: folders with .proto files at their import paths.
        descriptors: descriptor sets that replace .proto files; a file that is also
            in `folders` is read from there.

    Returns:
        Lines of an argument file. The well-known types, which come with protoc, are
        included.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    lines = [cmd_args(folders, toolchain.protoc.include or [], format = "-I{}")]
    projected = project_artifacts(ctx.actions, descriptors) if descriptors else []
    if projected:
        sets = cmd_args(projected, delimiter = ";" if toolchain.windows else ":")
        lines.append(cmd_args("--descriptor_set_in=", sets, delimiter = ""))
    return lines

def descriptor_set(ctx: AnalysisContext, name: str, arguments: list[str | cmd_args], paths: list[str]) -> Artifact:
    """Declares the descriptor set of some files.

    Args:
        ctx: of a rule with `_protobuf_toolchain` of `toolchain_attr`.
        name: of the descriptor set.
        arguments: of `protoc_inputs`, and flags for what else the set contains.
        paths: import paths of the files.

    Returns:
        The descriptor set.
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
    """Converts protoc's messages to errors that name files by import path.

    Args:
        ctx: of the failed action. Its messages name a source by its location,
            `…/__protos__/a/b.proto:3:1: …`.

    Returns:
        One error for each message about a position in a .proto file.
    """
    errors = []
    for line in ctx.stderr.splitlines():
        message = line.rpartition("/" + ROOT + "/")[2]
        file, _, rest = message.partition(".proto:")
        position = rest.split(":", 2)
        if " " in file or len(position) < 3 or not (position[0].isdigit() and position[1].isdigit()):
            continue
        remediation = None
        if "was not found or had errors" in rest:
            remediation = "add the library with the imported file to `deps`, or run: lockgen buckify; import paths start at the root of the cell"
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

def declare_image(ctx: AnalysisContext, name: str, paths: list[str], descriptors: ArtifactTSet) -> Artifact:
    """Declares one descriptor set of files and of everything that they import.

    Args:
        ctx: of a rule with `_protobuf_toolchain` of `toolchain_attr`.
        name: of the descriptor set.
        paths: import paths of the files.
        descriptors: descriptor sets of the files and of everything that they import.

    Returns:
        The descriptor set: imported files first, including the well-known types.
    """
    arguments = protoc_inputs(ctx, descriptors = descriptors) + ["--include_imports", "--include_source_info"]
    return descriptor_set(ctx, name, arguments, paths)

def _import_path(ctx: AnalysisContext, src: Artifact) -> str:
    """Returns the path by which other files import a source."""
    package = ctx.label.package if src.is_source else src.owner.package
    path = _join(package, src.short_path)
    strip = ctx.attrs.strip_import_prefix
    if strip:
        strip = strip.removesuffix("/") if strip != "." else ""
        folder = strip.removeprefix("/") if strip.startswith("/") else _join(package, strip).removesuffix("/")
        if folder and not path.startswith(folder + "/"):
            fail("{}: `{}` is not below `{}`, which `strip_import_prefix` removes".format(ctx.label.raw_target(), path, folder))
        path = path.removeprefix(folder + "/")
    return _join(ctx.attrs.import_prefix.strip("/"), path)

def _join(folder: str, path: str) -> str:
    return folder + "/" + path if folder else path

def _proto_library_impl(ctx: AnalysisContext) -> list[Provider]:
    info = compile_protos(ctx)
    image = declare_image(ctx, ctx.label.name + ".image.binpb", info.paths, info.descriptors)
    return [
        DefaultInfo(
            default_output = info.descriptor,
            sub_targets = {
                "descriptor": [DefaultInfo(default_output = info.descriptor)],
                "image": [DefaultInfo(default_output = image)],
                "sources": [DefaultInfo(default_output = info.folder)],
            },
        ),
        info,
    ]

proto_library = rule(
    impl = _proto_library_impl,
    doc = """.proto files, compiled to a FileDescriptorSet.

    A file's import path is its path from the root of the cell, unless
    `strip_import_prefix` and `import_prefix` change it. The output is a descriptor
    set of the target's own files, with source info and options; dependencies have
    their own descriptor sets.

    Sub-targets: `[descriptor]` is the same descriptor set; `[image]` is one with
    everything that the files import, including the well-known types, for tools such
    as buf and grpcurl; `[sources]` is a folder with the target's own .proto files
    at their import paths.

    ```python
    proto_library(
        name = "shop_proto",
        srcs = ["shop.proto"],
        deps = ["//money:money_proto"],
    )
    ```

    It is an error if `srcs` has no file, one that is not a .proto file, two with
    one import path, or one that is not below `strip_import_prefix`. Messages of
    protoc name a file by its import path; if protoc does not find an import, the
    message says to add the library with it to `deps`.
    """,
    attrs = proto_attrs(),
)
