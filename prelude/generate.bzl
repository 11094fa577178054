"""Runs protoc's own generators and locked plugins for the files of a ProtoInfo.

All languages share this: which generators run, in which versions, and with which
arguments. The inputs of an action are only protoc, the plugins, and .proto files or
descriptor sets of imported files. So it can run on any executor, and its outputs
can come from any cache.
"""

load("@prelude//:artifact_tset.bzl", "project_artifacts")
load(":lock.bzl", "pick")
load(":proto_library.bzl", "protoc_error", "protoc_inputs")
load(":providers.bzl", "ProtobufToolchainInfo")

# Stands for protoc's own generators, whatever protoc is called in the lock.
PROTOC = "protoc"

# protoc uses its own generators for these NAMEs of --NAME_out, whatever --plugin says.
_BUILT_IN = ["cpp", "csharp", "java", "kotlin", "objc", "php", "pyi", "python", "ruby", "rust", "upb", "upb_minitable", "upbdefs"]

# Options of a generator, as written in a BUCK file.
Options = dict[str, bool | int | str | list[str]]

# Returns the files that a generator writes for a .proto file, given its import path and
# the generator's options.
Files = typing.Callable[[str, Options], list[str]]

# A known generator of a language.
Generator = record(
    # Its name in the lock, or `PROTOC` for one of protoc's own.
    plugin = str,
    # NAME of `--NAME_out`, if it does not follow from the name of the executable.
    name = field(str | None, None),
    # What the generator does, for the documentation of the attribute that enables it.
    doc = field(str, ""),
    # Options that it gets in addition to those of a target.
    options = field(Options, {}),
    # If a target sets one of these, it gets none of `options`.
    unless = field(list[str], []),
    # Options to generate only the target's own files, without imported ones. They are
    # added unless the target sets them.
    own_options = field(Options, {}),
    # Whether it ignores comments of imported files when it generates only the target's
    # own files and the target sets none of `own_options`. Then a changed comment in an
    # imported file does not run it again.
    own_comments = field(bool, False),
    # None if the names of the files depend on the content of the .proto file.
    files = field(Files | None, None),
    # Content for a file that the generator omits because it would be empty, if a
    # compiled library needs the file.
    fill = field(str | None, None),
    # Library of [runtimes] that its code needs, or a function that returns it for a
    # version of the plugin.
    runtime = field(str | typing.Callable[[str], str], ""),
    # What to add to plugins.toml for a plugin that the catalogue does not have.
    hint = field(str, ""),
)

# A generator with the version that a target uses.
Picked = record(
    generator = Generator,
    # Its name in the lock.
    plugin = str,
    version = str,
    # Name and version, for messages.
    title = str,
    # Whether it is one of protoc's own.
    built_in = bool,
    # The plugin, or the protoc that has the generator.
    executable = cmd_args,
    # NAME of `--NAME_out`.
    name = str,
    options = Options,
    # Whether it ignores comments of imported files.
    own_comments = bool,
)

def options_attr(**kwargs) -> Attr:
    """Returns an attribute of type `Options`.

    Args:
        **kwargs: `default` and `doc`, unless it is part of another attribute.
    """
    return attrs.dict(attrs.string(), attrs.one_of(attrs.bool(), attrs.int(), attrs.string(), attrs.list(attrs.string())), **kwargs)

def plugin_attrs() -> dict[str, Attr]:
    """Returns the attributes that `pick_generators` and `generate` read."""
    return {
        "options": options_attr(
            default = {},
            doc = "Options of the plugin. True gives `key=true`, a list repeats the key, and an empty string gives only the key.",
        ),
        "out_name": attrs.option(
            attrs.string(),
            default = None,
            doc = "NAME of protoc's `--NAME_out`, for a plugin whose executable is not called protoc-gen-NAME and for protoc's own generators.",
        ),
        "plugin": attrs.option(
            attrs.string(),
            default = None,
            doc = "Name of the plugin in the lock, or `protoc` for one of protoc's own generators; the default is the toolchain's for the language.",
        ),
        "plugin_version": attrs.option(
            attrs.string(),
            default = None,
            doc = "Version of the plugin, which must be locked; the default is the only or newest one in the lock.",
        ),
        "plugins": attrs.dict(
            attrs.string(),
            options_attr(),
            default = {},
            doc = "Additional locked plugins that write to the same folder, with their options.",
        ),
        "versions": attrs.dict(
            attrs.string(),
            attrs.string(),
            default = {},
            doc = "Versions of the plugins that a target uses in addition to `plugin`: `{\"protoc-gen-go-grpc\": \"1.5.1\"}`. The default is the only or newest one in the lock.",
        ),
    }

def pick_generators(ctx: AnalysisContext, main: Generator, extras: list[(Generator, Options)] = []) -> list[Picked]:
    """Picks the versions of all generators that a target uses.

    Args:
        ctx: of a rule with `plugin_attrs` and `proto_attrs`.
        main: the generator that `plugin_version`, `options` and `out_name` are for.
        extras: other generators, with their options.

    Returns:
        The generators for `generate`: the main one, then `extras`, then those of
        the attribute `plugins`. It fails if one is not locked or is not a protoc
        plugin, and if `versions` names one that the target does not use.
    """
    picked = [_pick(ctx, main, ctx.attrs.plugin_version, ctx.attrs.options, ctx.attrs.out_name)]
    others = extras + [(Generator(plugin = plugin), options) for plugin, options in ctx.attrs.plugins.items()]
    picked += [_pick(ctx, g, ctx.attrs.versions.get(g.plugin), options) for g, options in others]
    used = [p.plugin for p in picked[1:]]
    unused = [name for name in ctx.attrs.versions if name not in used]
    if unused:
        fail("{}: `versions` has `{}`, which the target does not use".format(ctx.label.raw_target(), "`, `".join(unused)))
    return picked

def _pick(ctx: AnalysisContext, known: Generator, version: str | None, given: Options, out_name: str | None = None) -> Picked:
    """Picks one generator. See `pick_generators`."""
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    plugin = known.plugin
    built_in = plugin in [PROTOC, toolchain.protoc_name]
    if built_in:
        plugin = toolchain.protoc_name
        version = version or toolchain.protoc_version
    if known.hint and plugin not in toolchain.plugins:
        fail("{}: plugin `{}` is not locked. {}, then run: lockgen update".format(ctx.label.raw_target(), plugin, known.hint))
    version = pick(toolchain.plugins, plugin, version)
    found = toolchain.plugins[plugin][version]
    name = out_name or known.name or (None if built_in else found.option_name)
    if name == None and built_in:
        fail("{}: set `out_name` to the generator of protoc to use, such as `out_name = \"python\"` for --python_out".format(ctx.label.raw_target()))
    if name == None:
        fail("{}: `{}` is locked, but is not a protoc plugin: its executable is not called protoc-gen-NAME; if it is one, set `out_name` to the name".format(ctx.label.raw_target(), plugin))
    options = {} if [key for key in known.unless if key in given] else known.options
    return Picked(
        generator = known,
        plugin = plugin,
        version = version,
        title = "{} {}".format(plugin, version),
        built_in = built_in,
        executable = found.executable,
        name = name,
        options = options | given,
        # protoc's own generators copy no comments of imported files.
        own_comments = built_in or (known.own_comments and not [key for key in known.own_options if key in given]),
    )

def generate(ctx: AnalysisContext, generators: list[Picked], out: str, info: Provider, own: bool = True) -> Artifact:
    """Declares one action that runs generators and writes to one folder.

    Args:
        ctx: of a rule with `plugin_attrs` and `proto_attrs`.
        generators: what `pick_generators` returned.
        out: name of the output folder, or of an archive if it ends with `.jar`.
        info: the ProtoInfo of the files.
        own: whether to skip imported files, whose code is in other targets.

    Returns:
        The folder with the files that the generators write.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    archive = out.endswith(".jar")
    output = ctx.actions.declare_output(out, dir = not archive, has_content_based_path = True)

    # One run of protoc for all plugins, and one for each additional version of protoc.
    runs = {}
    for g in generators:
        runs.setdefault(g.title if g.built_in else "", []).append(g)
    if "" in runs:
        # protoc's own generators run with the plugins if their protoc is the
        # toolchain's.
        default = "{} {}".format(toolchain.protoc_name, toolchain.protoc_version)
        runs[""] = runs.pop(default, []) + runs[""]

    # protoc does not create its output folder.
    if toolchain.windows:
        script = ['set "out=%~1"'] + ([] if archive else ['if not exist "%out:/=\\%" mkdir "%out:/=\\%" || exit /b 1'])
    else:
        script = [] if archive else ['command -p mkdir -p -- "$1" || exit']
    for i, run in enumerate(runs.values()):
        script.append(_protoc(ctx, run, "{}.{}.args".format(out, i + 1), info, own))
    run_script(
        ctx,
        out,
        script,
        [output.as_output()],
        category = "protoc_generate",
        # Buck2 shows it with the target if the action fails.
        identifier = "{} by {} on {}".format(out, ", ".join([g.title for g in generators]), toolchain.platform),
        error_handler = protoc_error,
    )
    return output

def run_script(
        ctx: AnalysisContext,
        name: str,
        lines: list[str | cmd_args],
        arguments: list[Artifact | OutputArtifact],
        **kwargs) -> None:
    """Declares an action that runs a script on the platform of protoc.

    Args:
        ctx: of a rule with `_protobuf_toolchain` of `proto_attrs`.
        name: name of the script, without its extension.
        lines: lines of the script, for cmd on Windows and for sh elsewhere.
        arguments: arguments of the script.
        **kwargs: arguments of `ctx.actions.run`, such as `category`.
    """
    windows = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo].windows
    script = ctx.actions.write(
        name + (".cmd" if windows else ".sh"),
        (["@echo off", "setlocal"] if windows else ["#!/bin/sh"]) + lines,
        has_content_based_path = True,
        is_executable = True,
        with_inputs = True,
    )
    ctx.actions.run(
        cmd_args([] if windows else "/bin/sh", script, arguments),
        allow_cache_upload = True,
        env = {},
        **kwargs
    )

def _protoc(ctx: AnalysisContext, run: list[Picked], arguments: str, info: Provider, own: bool) -> cmd_args:
    """Returns the line of a script that runs one protoc with generators."""
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    executable = toolchain.protoc.executable
    if own and not [g for g in run if not g.own_comments]:
        lines = protoc_inputs(ctx, [info.folder], info.imported)
    else:
        lines = protoc_inputs(ctx, project_artifacts(ctx.actions, info.sources))
    names = []
    for g in run:
        name = g.name
        if g.built_in:
            executable = g.executable
        else:
            for _ in range(len(run) + 1):
                if name in names or name in _BUILT_IN:
                    name += "_plugin"
            lines.append(cmd_args("--plugin=protoc-gen-", name, "=", g.executable, delimiter = ""))
        names.append(name)
        options = g.generator.own_options | g.options if own else g.options
        lines += ["--{}_opt={}".format(name, option) for option in _rendered(options)]
    file = ctx.actions.write(arguments, lines + [info.paths if own else info.transitive_paths], has_content_based_path = True, with_inputs = True)
    if toolchain.windows:
        return cmd_args(
            "call",
            cmd_args(executable, format = '"{}"', replace_regex = ("/", "\\")),
            cmd_args(file, format = '"@{}"'),
            ['"--{}_out=%out%"'.format(name) for name in names],
            "|| exit /b 1",
            delimiter = " ",
        )
    return cmd_args(
        cmd_args(executable, quote = "shell"),
        cmd_args(file, format = "@{}", quote = "shell"),
        ['"--{}_out=$1"'.format(name) for name in names],
        "|| exit",
        delimiter = " ",
    )

def _rendered(options: Options) -> list[str]:
    """Returns options in the form that protoc passes to a plugin."""
    rendered = []
    for key, value in options.items():
        for item in value if type(value) == "list" else [value]:
            if type(item) == "bool":
                item = "true" if item else "false"
            rendered.append(key if item == "" else "{}={}".format(key, item))
    return rendered
