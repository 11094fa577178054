"""Runs protoc's generators and locked plugins over the files of a ProtoInfo.

All languages share this: which generators run, in which versions, and how they are
called. The inputs of an action are protoc, the plugins, and .proto files or
descriptor sets of imported ones, and nothing else. So it runs on any executor, and
its outputs can come from any cache.
"""

load("@prelude//:artifact_tset.bzl", "project_artifacts")
load(":lock.bzl", "pick")
load(":proto_library.bzl", "protoc_error", "protoc_inputs")
load(":providers.bzl", "ProtobufToolchainInfo")

# Stands for protoc's own generators, whatever the lock calls protoc.
PROTOC = "protoc"

# protoc takes these NAMEs of --NAME_out for its own, whatever --plugin says.
_BUILT_IN = ["cpp", "csharp", "java", "kotlin", "objc", "php", "pyi", "python", "ruby", "rust", "upb", "upb_minitable", "upbdefs"]

# Options of a generator, as a BUCK file writes them.
Options = dict[str, bool | int | str | list[str]]

# Which files a generator writes for a .proto file: a function of its import path
# and of the generator's options that returns their paths.
Files = typing.Callable[[str, Options], list[str]]

# A generator that a language knows.
Generator = record(
    # Its name in the lock, or `PROTOC` for one of protoc's own.
    plugin = str,
    # NAME of `--NAME_out`, where the name of the executable in the lock does not tell.
    name = field(str | None, None),
    # What the attribute that adds the generator does, if a language adds it by an attribute.
    doc = field(str, ""),
    # Options that it gets in addition to those of a target.
    options = field(Options, {}),
    # Options of a target that replace all of `options`.
    unless = field(list[str], []),
    # Options that it gets, unless the target sets them, when it runs over the
    # target's own files alone: they keep it from writing imported files.
    own_options = field(Options, {}),
    # Whether it reads no comments of imported files when it runs over the target's
    # own files alone and the target sets none of `own_options`. Then an edit of
    # nothing but comments in an imported file does not run it again.
    own_comments = field(bool, False),
    # None where what is in a .proto file, and not its path, names the files.
    files = field(Files | None, None),
    # Content of a file that it does not write for lack of anything to say, where
    # a compiled library needs the file.
    fill = field(str | None, None),
    # Library of [runtimes] without which its code does not run.
    runtime = field(str, ""),
    # What to add to plugins.toml, where the catalogue does not know the plugin.
    hint = field(str, ""),
)

# A generator in the version that a target uses.
Picked = record(
    generator = Generator,
    # Its name in the lock.
    plugin = str,
    version = str,
    # Name and version, for messages.
    title = str,
    # Whether it is one of protoc's own.
    built_in = bool,
    # The plugin, or the protoc it is part of.
    executable = cmd_args,
    # NAME of `--NAME_out`.
    name = str,
    options = Options,
    # Whether comments of imported files do not matter to it.
    own_comments = bool,
)

def options_attr(**kwargs) -> Attr:
    """Returns an attribute of type `Options`.

    Args:
        **kwargs: `default` and `doc`, where it is no part of another attribute.
    """
    return attrs.dict(attrs.string(), attrs.one_of(attrs.bool(), attrs.int(), attrs.string(), attrs.list(attrs.string())), **kwargs)

def plugin_attrs() -> dict[str, Attr]:
    """Returns the attributes that `pick_generators` and `generate` read."""
    return {
        "options": options_attr(
            default = {},
            doc = "Options of the plugin. True is `key=true`, a list repeats the key, an empty string is the bare key.",
        ),
        "out_name": attrs.option(
            attrs.string(),
            default = None,
            doc = "NAME of protoc's `--NAME_out`: for a plugin whose executable is not called protoc-gen-NAME, and for one of protoc's own generators.",
        ),
        "plugin": attrs.option(
            attrs.string(),
            default = None,
            doc = "Name of the plugin in the lock, or `protoc` for a generator of its own; the default is the toolchain's for the language.",
        ),
        "plugin_version": attrs.option(
            attrs.string(),
            default = None,
            doc = "Version of the plugin, which must be locked; the default is the lock's only or newest one.",
        ),
        "plugins": attrs.dict(
            attrs.string(),
            options_attr(),
            default = {},
            doc = "Further locked plugins that write to the same folder, each with its options.",
        ),
        "versions": attrs.dict(
            attrs.string(),
            attrs.string(),
            default = {},
            doc = "Versions of the plugins that a target uses beside `plugin`: `{\"protoc-gen-go-grpc\": \"1.5.1\"}`. The default is the lock's only or newest one.",
        ),
    }

def pick_generators(ctx: AnalysisContext, main: Generator, extras: list[(Generator, Options)] = []) -> list[Picked]:
    """Picks the versions of all generators that a target asks for.

    Args:
        ctx: of a rule with `plugin_attrs` and `proto_attrs`.
        main: the generator to which `plugin_version`, `options` and `out_name` apply.
        extras: others, each with its options.

    Returns:
        What `generate` runs: the main generator first, then `extras`, then those
        of the attribute `plugins`. It fails where one is not locked or is no
        protoc plugin, and where `versions` names one that the target does not use.
    """
    picked = [_pick(ctx, main, ctx.attrs.plugin_version, ctx.attrs.options, ctx.attrs.out_name)]
    others = extras + [(Generator(plugin = plugin), options) for plugin, options in ctx.attrs.plugins.items()]
    picked += [_pick(ctx, g, ctx.attrs.versions.get(g.plugin), options) for g, options in others]
    used = [p.plugin for p in picked[1:]]
    unused = [name for name in ctx.attrs.versions if name not in used]
    if unused:
        fail("{}: `versions` speaks of `{}`, which the target does not use".format(ctx.label.raw_target(), "`, `".join(unused)))
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
        fail("{}: which of protoc's generators? Name it with `out_name`, such as `out_name = \"python\"` for --python_out".format(ctx.label.raw_target()))
    if name == None:
        fail("{}: `{}` is locked, but it is no protoc plugin, for its executable is not called protoc-gen-NAME; if it is one, give the name with `out_name`".format(ctx.label.raw_target(), plugin))
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
        # protoc's own generators copy the comments of no imported file.
        own_comments = built_in or (known.own_comments and not [key for key in known.own_options if key in given]),
    )

def generate(ctx: AnalysisContext, generators: list[Picked], out: str, info: Provider, own: bool = True) -> Artifact:
    """Declares one action that runs some generators into one folder.

    Args:
        ctx: of a rule with `plugin_attrs` and `proto_attrs`.
        generators: what `pick_generators` returned.
        out: name of the folder of generated code, or of the archive if it ends with `.jar`.
        info: the ProtoInfo of the files.
        own: whether to leave out imported files, whose code other targets have.

    Returns:
        The folder, which holds whatever the generators write, at the paths they choose.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    archive = out.endswith(".jar")
    output = ctx.actions.declare_output(out, dir = not archive, has_content_based_path = True)

    # One run of protoc for all plugins, and one for each other version of protoc.
    runs = {}
    for g in generators:
        runs.setdefault(g.title if g.built_in else "", []).append(g)
    if "" in runs:
        # protoc's own generators of the toolchain's version join the plugins.
        default = "{} {}".format(toolchain.protoc_name, toolchain.protoc_version)
        runs[""] = runs.pop(default, []) + runs[""]

    # protoc does not create the folder that it writes to.
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
        # Buck2 shows it beside the target when the action fails.
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
        name: of the script, without its suffix.
        lines: of the script, for cmd on Windows and for sh elsewhere.
        arguments: of the script.
        **kwargs: of `ctx.actions.run`, `category` among them.
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
    """Returns the line of a script that runs one protoc with some generators."""
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
    """Returns options as protoc passes them to a plugin."""
    rendered = []
    for key, value in options.items():
        for item in value if type(value) == "list" else [value]:
            if type(item) == "bool":
                item = "true" if item else "false"
            rendered.append(key if item == "" else "{}={}".format(key, item))
    return rendered
