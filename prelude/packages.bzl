"""proto_packages: a proto_library for every proto package of a lock.

A package is one download, which the toolchain declares, and the lock lists its
files. So loading and analysis download nothing, and a target that imports one
folder of a package only waits for the descriptor sets of that folder and of what it
imports. Their inputs are copies of their own files: if another folder of the
package changes, they are not made again.
"""

load("@prelude//:artifact_tset.bzl", "ArtifactTSet", "make_artifact_tset", "project_artifacts")
load(":lock.bzl", "PROTOS", "newest", "plugins_of")
load(":proto_library.bzl", "ROOT", "declare_image", "descriptor_set", "protoc_inputs", "toolchain_attr")
load(":providers.bzl", "ProtoInfo", "ProtobufToolchainInfo")

# A folder of a proto package, as in the lock: `files` and `imports`.
_Folder = dict[str, list[str]]

def _join(folder: str, name: str) -> str:
    return name if folder == "." else folder + "/" + name

def _paths(folders: dict[str, _Folder], some: list[str]) -> list[str]:
    """Returns the import paths of the files in some folders."""
    return [_join(folder, name) for folder in some for name in folders[folder]["files"]]

def _reached(folders: dict[str, _Folder], start: str) -> list[str]:
    """Returns a folder and the folders of the package that its files import, directly or not.

    Folders may import each other in a loop, although files may not.
    """
    reached = {start: True}
    edge = [start]
    for _ in range(len(folders)):
        if not edge:
            break
        edge = {to: True for folder in edge for to in folders[folder].get("imports", []) if to in folders and to not in reached}.keys()
        reached |= {folder: True for folder in edge}
    return list(reached)

def _outside(ctx: AnalysisContext, some: list[str]) -> list[Provider]:
    """Returns the ProtoInfo of the folders in other packages that some folders import."""
    imports = {to: True for folder in some for to in ctx.attrs.folders[folder].get("imports", [])}
    return [
        dep.sub_target(folder)[ProtoInfo]
        for dep in ctx.attrs.deps
        for folder in imports
        if folder in dep[DefaultInfo].sub_targets and ProtoInfo in dep.sub_target(folder)
    ]

def _united(ctx: AnalysisContext, artifacts: list[Artifact], children: list[ArtifactTSet]) -> ArtifactTSet:
    return make_artifact_tset(actions = ctx.actions, label = ctx.label if artifacts else None, artifacts = artifacts, children = children)

def _deduped(lists: list[list[str]]) -> list[str]:
    return list({path: True for some in lists for path in some})

def _sets(ctx: AnalysisContext, name: str, sources: list[Artifact | TransitiveSetArgsProjection], deps: list[Provider], paths: list[str]) -> (Artifact, Artifact):
    """Declares the descriptor sets of some files, one with source info and one without."""
    inputs = protoc_inputs(ctx, sources, _united(ctx, [], [dep.importable for dep in deps]))
    with_info = descriptor_set(ctx, name + ".binpb", inputs + ["--include_source_info"], paths)
    return with_info, descriptor_set(ctx, name + ".bare.binpb", inputs, paths)

def _providers(ctx: AnalysisContext, name: str, info: Provider) -> dict[str, list[Provider]]:
    """Returns the same sub-targets as those of a proto_library."""
    image = declare_image(ctx, name + ".image.binpb", info.paths, info.descriptors)
    return {
        "descriptor": [DefaultInfo(default_output = info.descriptor)],
        "image": [DefaultInfo(default_output = image)],
        "sources": [DefaultInfo(default_output = info.folder)],
    }

def _folders(ctx: AnalysisContext, tree: Artifact) -> dict[str, list[Provider]]:
    """Returns a proto_library for each folder of the package."""
    folders = ctx.attrs.folders
    copies, leaves, sets = {}, {}, {}
    for folder in folders:
        # One part of a path, so that no folder's output is inside that of another.
        name = "folders/" + ("+" if folder == "." else folder.replace("+", "+2B").replace("/", "+2F"))
        copies[folder] = ctx.actions.copied_dir(
            name + "/" + ROOT,
            {path: tree.project(path) for path in _paths(folders, [folder])},
            has_content_based_path = True,
        )
        leaves[folder] = _united(ctx, [copies[folder]], [])
        sets[folder] = name
    reached = {folder: _reached(folders, folder) for folder in folders}
    outside = {folder: _outside(ctx, reached[folder]) for folder in folders}
    full, bare, own = {}, {}, {}
    for folder, name in sets.items():
        sources = _united(ctx, [], [leaves[other] for other in reached[folder]])
        own[folder], without = _sets(ctx, name, project_artifacts(ctx.actions, sources), outside[folder], _paths(folders, [folder]))
        full[folder], bare[folder] = _united(ctx, [own[folder]], []), _united(ctx, [without], [])
    sub_targets = {}
    for folder, name in sets.items():
        deps, others = outside[folder], [other for other in reached[folder] if other != folder]
        imported = _united(ctx, [], [bare[other] for other in others] + [dep.importable for dep in deps])
        paths = _paths(folders, [folder])
        info = ProtoInfo(
            descriptor = own[folder],
            descriptors = _united(ctx, [], [full[other] for other in reached[folder]] + [dep.descriptors for dep in deps]),
            folder = copies[folder],
            importable = _united(ctx, [], [bare[folder], imported]),
            imported = imported,
            paths = paths,
            sources = _united(ctx, [], [leaves[other] for other in reached[folder]] + [dep.sources for dep in deps]),
            transitive_paths = _deduped([_paths(folders, reached[folder])] + [dep.transitive_paths for dep in deps]),
        )
        sub_targets[folder] = [DefaultInfo(default_output = own[folder], sub_targets = _providers(ctx, name, info)), info]
    return sub_targets

def _proto_package_impl(ctx: AnalysisContext) -> list[Provider]:
    name, version, folders = ctx.label.name, ctx.attrs.version, ctx.attrs.folders
    locked = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo].packages.get(name, {}).get(version)
    if locked == None:
        fail("{}: {} {} is not in toolchains//:protobuf: pass the same lock to `protobuf_plugins` there and to `proto_packages`".format(ctx.label.raw_target(), name, version))
    paths = _paths(folders, list(folders))
    deps = _outside(ctx, list(folders))
    descriptor, bare = _sets(ctx, "package", [locked.tree], deps, paths)
    imported = _united(ctx, [], [dep.importable for dep in deps])
    info = ProtoInfo(
        descriptor = descriptor,
        descriptors = _united(ctx, [descriptor], [dep.descriptors for dep in deps]),
        folder = locked.tree,
        importable = _united(ctx, [bare], [imported]),
        imported = imported,
        paths = paths,
        sources = _united(ctx, [locked.tree], [dep.sources for dep in deps]),
        transitive_paths = _deduped([paths] + [dep.transitive_paths for dep in deps]),
    )

    # No output: `buck2 build //...` would build it, and download packages that nobody
    # imports.
    return [DefaultInfo(sub_targets = _providers(ctx, "package", info) | _folders(ctx, locked.tree)), info]

proto_package = rule(
    impl = _proto_package_impl,
    doc = "One proto package of a lock; created by `proto_packages`.",
    attrs = {
        "deps": attrs.list(attrs.dep(providers = [ProtoInfo]), default = [], doc = "The packages that it imports."),
        "folders": attrs.dict(attrs.string(), attrs.dict(attrs.string(), attrs.list(attrs.string())), doc = "The lock's table of its folders."),
        "version": attrs.string(doc = "Its version in the lock."),
    } | toolchain_attr(),
)

def proto_packages(lock: dict[str, typing.Any], visibility: list[str] = ["PUBLIC"]) -> None:
    """Declares a proto_library for every proto package of a lock, with the package's name.

    ```python
    load("@buck2-protobuf//rules:proto.bzl", "proto_packages")
    load("@root//:plugins.lock.toml", lock = "value")

    proto_packages(lock = lock)
    ```

    A target may be in the `deps` of anything that imports its files, and be the
    `proto` of a library that generates code from them. Each folder of import paths
    is a sub-target that may be used in the same way, and is the better choice: what
    depends on `//third-party/proto:googleapis[google/api]` is not built again if
    another folder of the package changes.

    A package is downloaded when a build needs one of its files, by the toolchain,
    whose `protobuf_plugins` must have the same lock. Sub-targets: one for each
    folder, `[.]` for files in none; and `[descriptor]`, `[image]` and `[sources]`,
    as for a proto_library. The target itself has no output, so `buck2 build //...`
    does not download packages that nobody imports.

    Args:
        lock: The value of a plugins.lock.toml.
        visibility: Who may use the targets.
    """
    for name, versions in plugins_of(lock).items():
        if not name.startswith(PROTOS):
            continue
        version = newest(list(versions))
        proto_package(
            name = name.removeprefix(PROTOS),
            deps = [":" + dep for dep in versions[version].get("deps", [])],
            folders = versions[version]["folders"],
            version = version,
            visibility = visibility,
        )
