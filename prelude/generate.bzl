"""Runs a protoc plugin over the files of a ProtoInfo.

What every language shares: which plugin, which version, how it is called. An
action of this file has protoc, the plugin and descriptor sets as inputs and
nothing else, so it runs on any executor and comes from any cache.
"""

load(":lock.bzl", "pick")
load(":proto_library.bzl", "descriptor_set_in", "include_args", "protoc_error")
load(":providers.bzl", "ProtobufToolchainInfo")

# protoc does not make the folder that it is to write to. The arguments are
# the folder, protoc, its file of arguments, and the NAME of --NAME_out.
_SH = """\
#!/bin/sh
command -p mkdir -p -- "$1" && exec "$2" "@$3" "--$4_out=$1"
"""

_CMD = """\
@echo off
setlocal
set "out=%~1"
set "protoc=%~2"
if not exist "%out:/=\\%" mkdir "%out:/=\\%"
"%protoc:/=\\%" "@%~3" "--%~4_out=%out%"
"""

def plugin_attrs() -> dict[str, Attr]:
    """Returns the attributes that `pick_plugin` and `generate` read."""
    return {
        "options": attrs.dict(
            attrs.string(),
            attrs.one_of(attrs.bool(), attrs.int(), attrs.string(), attrs.list(attrs.string())),
            default = {},
            doc = "Options of the plugin. True is `key=true`, a list repeats the key, an empty string is the bare key.",
        ),
        "plugin": attrs.option(
            attrs.string(),
            default = None,
            doc = "Name of the plugin in the lock; the default is the toolchain's for the language.",
        ),
        "plugin_version": attrs.option(
            attrs.string(),
            default = None,
            doc = "Version of the plugin, which must be locked; the default is the lock's only or newest one.",
        ),
    }

def pick_plugin(ctx: AnalysisContext, language: str) -> struct:
    """Picks the version of the plugin that a target asks for, or fails.

    Args:
        ctx: of a rule with `plugin_attrs` and `proto_attrs`.
        language: key of the toolchain's `defaults`.

    Returns:
        The struct of that version, see ProtobufPluginInfo.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    name = ctx.attrs.plugin or toolchain.defaults[language]
    version = pick(toolchain.plugins, name, ctx.attrs.plugin_version)
    plugin = toolchain.plugins[name][version]
    if plugin.option_name == None:
        fail("{}: `{}` is locked, but it is no protoc plugin".format(ctx.label.raw_target(), name))
    return plugin

def generate(
        ctx: AnalysisContext,
        plugin: struct,
        out: str,
        paths: list[str],
        descriptors: typing.Any) -> Artifact:
    """Declares one run of protoc with one plugin.

    Args:
        ctx: of a rule with `plugin_attrs` and `proto_attrs`.
        plugin: what `pick_plugin` returned.
        out: name of the folder of generated code.
        paths: import paths to generate code for.
        descriptors: ArtifactTSet of the descriptor sets of those and of all that they import.

    Returns:
        The folder, which holds what the plugin writes, at the paths it chooses.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    name = plugin.option_name
    folder = ctx.actions.declare_output(out, dir = True, has_content_based_path = True)
    arguments = ctx.actions.write(
        out + ".args",
        [
            include_args(toolchain),
            descriptor_set_in(ctx.actions, toolchain, descriptors),
            cmd_args("--plugin=protoc-gen-", name, "=", plugin.executable, delimiter = ""),
            ["--{}_opt={}".format(name, option) for option in _options(ctx.attrs.options)],
            paths,
        ],
        has_content_based_path = True,
        with_inputs = True,
    )
    script = ctx.actions.write(
        out + (".cmd" if toolchain.windows else ".sh"),
        _CMD if toolchain.windows else _SH,
        has_content_based_path = True,
        is_executable = True,
    )
    ctx.actions.run(
        cmd_args(
            [] if toolchain.windows else "/bin/sh",
            script,
            folder.as_output(),
            toolchain.protoc.executable,
            arguments,
            name,
        ),
        category = "protoc_generate",
        identifier = out,
        allow_cache_upload = True,
        env = {},
        error_handler = protoc_error,
    )
    return folder

def _options(options: dict[str, typing.Any]) -> list[str]:
    """Renders options as protoc hands them to a plugin."""
    rendered = []
    for key, value in options.items():
        for item in value if type(value) == "list" else [value]:
            if type(item) == "bool":
                item = "true" if item else "false"
            rendered.append(key if item == "" else "{}={}".format(key, item))
    return rendered
