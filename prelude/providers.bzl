"""The providers through which the targets of these rules exchange data.

Buck2 evaluates a .bzl file outside its own prelude once for every cell whose BUCK
files load it, so each type defined here exists several times. Providers are still
found across cells, but a record, an enum, a transitive set or a provider of ours
fails every type check there. So fields only have values of Buck2's own types, and
transitive data are in an ArtifactTSet of Buck2's prelude, which is evaluated once.
"""

load("@prelude//:artifact_tset.bzl", "ArtifactTSet")

ProtobufPluginInfo = provider(
    doc = """One plugin of a lock, in all its locked versions, for one platform.

    Fields:
        name: its name in the lock.
        platform: the lock's name of the platform on which it runs.
        versions: dict by version of a struct of
            `binary`: the executable file in its tree, without its runtime;
            `entry`: what `fetch install --entry` reads;
            `executable`: cmd_args to run it, with everything it needs attached;
            `include`: the folder of its .proto files, or None;
            `option_name`: NAME of protoc's `--NAME_out`, or None;
            `tree`: the folder that `fetch` makes.
    """,
    fields = {
        "name": provider_field(str),
        "platform": provider_field(str),
        "versions": provider_field(dict[str, struct]),
    },
)

ProtobufToolchainInfo = provider(
    doc = """protoc and the plugins that libraries may use.

    Fields:
        defaults: plugin by language, to replace the language's own default.
        platform: the lock's name of the platform on which protoc runs.
        packages: dict by name of a proto package of `versions` as in ProtobufPluginInfo, of which only `tree` is used.
        plugins: dict by plugin name of `versions` as in ProtobufPluginInfo.
        protoc: one such version, of protoc.
        protoc_name: its name in the lock.
        protoc_version: its version.
        runtimes: dict by language of a dict by library of a struct of `version` and
            `fits`, the NAME@VERSION of the plugins whose code it was chosen for.
        windows: whether protoc runs on Windows.
    """,
    fields = {
        "defaults": provider_field(dict[str, str]),
        "packages": provider_field(dict[str, dict[str, struct]]),
        "platform": provider_field(str),
        "plugins": provider_field(dict[str, dict[str, struct]]),
        "protoc": provider_field(struct),
        "protoc_name": provider_field(str),
        "protoc_version": provider_field(str),
        "runtimes": provider_field(dict[str, dict[str, struct]]),
        "windows": provider_field(bool),
    },
)

ProtoInfo = provider(
    doc = """The .proto files of one target and of everything that they import.

    - `descriptor`: FileDescriptorSet of the target's own files, with source info.
    - `descriptors`: ArtifactTSet of `descriptor` and those of all dependencies.
    - `folder`: folder with the target's own .proto files at their import paths.
    - `importable`: ArtifactTSet of `imported` and of such a set of the target's own files.
    - `imported`: ArtifactTSet of the FileDescriptorSets of all dependencies without
      source info, so that editing a comment does not change them. With `folder`, it
      is all that protoc needs to compile the target's own files.
    - `paths`: import paths of the target's own files.
    - `sources`: ArtifactTSet of `folder` and those of all dependencies.
    - `transitive_paths`: import paths of the target's own files and of those of all
      dependencies.
    """,
    fields = {
        "descriptor": provider_field(Artifact),
        "descriptors": provider_field(ArtifactTSet),
        "folder": provider_field(Artifact),
        "importable": provider_field(ArtifactTSet),
        "imported": provider_field(ArtifactTSet),
        "paths": provider_field(list[str]),
        "sources": provider_field(ArtifactTSet),
        "transitive_paths": provider_field(list[str]),
    },
)
