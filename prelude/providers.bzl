"""The providers through which the targets of these rules talk to each other.

Buck2 evaluates a .bzl file outside its own prelude once for every cell whose
BUCK files load it, so each of our types exists several times. A provider is
still found across cells, but a record, an enum, a transitive set or a provider
of ours fails every type check there. Fields therefore hold values of Buck2's
own types alone, and transitive data is an ArtifactTSet of Buck2's prelude, which
is evaluated once.
"""

load("@prelude//:artifact_tset.bzl", "ArtifactTSet")

ProtobufPluginInfo = provider(
    doc = """One plugin of a lock, in all its locked versions, for one platform.

    Fields:
        name: its name in the lock.
        platform: the lock's name of the platform on which it runs.
        versions: dict by version of a struct of
            `binary`: the executable file of its tree, without its runtime;
            `entry`: what `fetch install --entry` reads;
            `executable`: cmd_args that runs it, with everything it needs attached;
            `include`: the folder of the .proto files that come with it, or None;
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
        defaults: plugin by language, where the language's own default is not wanted.
        platform: the lock's name of the platform on which protoc runs.
        packages: dict by name of a proto package of the `versions` of ProtobufPluginInfo, of which only `tree` is of use.
        plugins: dict by plugin name of the `versions` of ProtobufPluginInfo.
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
    doc = """The .proto files of one target and of everything they import.

    - `descriptor`: FileDescriptorSet of the target's own files, with source info.
    - `descriptors`: ArtifactTSet of `descriptor` and those of all dependencies.
    - `folder`: folder that holds the target's own .proto files at their import paths.
    - `importable`: ArtifactTSet of `imported` and of such a set of the target's own files.
    - `imported`: ArtifactTSet of the FileDescriptorSets of all dependencies without
      source info, so that an edit of a comment changes none of them. With `folder`
      it is all that protoc needs to compile the target's own files.
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
