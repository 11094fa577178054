"""What the targets of this cell tell each other.

A .bzl file outside Buck2's prelude is evaluated once for every cell that loads
it, so the same type exists several times. Looking a provider up works across
cells; types of ours do not. So every field holds values of Buck2's own types,
and transitive data uses the prelude's ArtifactTSet.
"""

ProtobufPluginInfo = provider(
    doc = """One plugin of a lock, in all its locked versions, for one platform.

    Fields:
        name: its name in the lock.
        platform: the lock's name of the platform on which it runs.
        versions: dict by version of a struct of
            `executable`: cmd_args that runs it, all that it needs attached;
            `binary`: the executable file of its tree, without its runtime;
            `include`: the folder of the .proto files that come with it, or None;
            `option_name`: NAME of protoc's `--NAME_out`, or None;
            `locked`: the table of the lock.
    """,
    fields = {
        "name": provider_field(str),
        "platform": provider_field(str),
        "versions": provider_field(dict[str, typing.Any]),
    },
)

ProtobufToolchainInfo = provider(
    doc = """protoc and the plugins that libraries may use.

    Fields:
        defaults: dict of the plugin that each language uses unless told otherwise.
        platform: the lock's name of the platform on which protoc runs.
        plugins: dict by plugin name of the `versions` of ProtobufPluginInfo.
        protoc: one such version of protoc.
        protoc_name: its name in the lock.
        protoc_version: its version.
        windows: whether protoc runs on Windows.
    """,
    fields = {
        "defaults": provider_field(dict[str, str]),
        "platform": provider_field(str),
        "plugins": provider_field(dict[str, typing.Any]),
        "protoc": provider_field(typing.Any),
        "protoc_name": provider_field(str),
        "protoc_version": provider_field(str),
        "windows": provider_field(bool),
    },
)

ProtoInfo = provider(
    doc = """The .proto files of one target and of all that they import.

    Fields:
        descriptor: FileDescriptorSet of the target's own files, with source info.
        descriptors: ArtifactTSet of `descriptor` and those of all dependencies.
        folder: folder that holds the target's own .proto files at their import paths.
        importable: ArtifactTSet of `imported` and of such a set of the target's own files.
        imported: ArtifactTSet of the FileDescriptorSets of all dependencies
            without source info, so that no edit of a comment changes one:
            beside `folder`, what protoc needs to compile the target's own files.
        paths: import paths of the target's own files.
        sources: ArtifactTSet of `folder` and those of all dependencies.
        transitive_paths: import paths of those and of all dependencies' files.
    """,
    fields = {
        "descriptor": provider_field(Artifact),
        "descriptors": provider_field(typing.Any),
        "folder": provider_field(Artifact),
        "importable": provider_field(typing.Any),
        "imported": provider_field(typing.Any),
        "paths": provider_field(list[str]),
        "sources": provider_field(typing.Any),
        "transitive_paths": provider_field(list[str]),
    },
)
