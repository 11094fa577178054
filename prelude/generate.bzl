"""Runs protoc's generators and locked plugins over the files of a ProtoInfo.

What every language shares: which generator, which version, how it is called. An
action of this file has protoc, the plugins and .proto files, or descriptor sets
of imported ones, as inputs and nothing else, so it runs on any executor and
comes from any cache.
"""

load("@prelude//:artifact_tset.bzl", "project_artifacts")
load(":lock.bzl", "pick")
load(":proto_library.bzl", "protoc_error", "protoc_inputs")
load(":providers.bzl", "ProtobufToolchainInfo")

# The name that means protoc's own generators, whatever the lock calls protoc.
PROTOC = "protoc"

# protoc takes these NAMEs of --NAME_out for its own, whatever --plugin says.
_BUILT_IN = ["cpp", "csharp", "java", "kotlin", "objc", "php", "pyi", "python", "ruby", "rust", "upb", "upb_minitable", "upbdefs"]

# protoc does not make the folder that it is to write to.
_SH = ["#!/bin/sh", 'command -p mkdir -p -- "$1" || exit']
_CMD = ["@echo off", "setlocal", 'set "out=%~1"', 'if not exist "%out:/=\\%" mkdir "%out:/=\\%" || exit /b 1']

# An option's value, as a BUCK file writes it.
_OPTION = attrs.one_of(attrs.bool(), attrs.int(), attrs.string(), attrs.list(attrs.string()))

def options_attr() -> Attr:
    """Returns the type of a dictionary of options, for use inside other types."""
    return attrs.dict(attrs.string(), _OPTION)

def plugin_attrs() -> dict[str, Attr]:
    """Returns the attributes that `pick_generators` and `generate` read."""
    return {
        "options": attrs.dict(
            attrs.string(),
            _OPTION,
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
            attrs.dict(attrs.string(), _OPTION),
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

def generator(
        plugin: str,
        name: str | None = None,
        options: dict[str, typing.Any] = {},
        own_options: dict[str, typing.Any] = {},
        files: typing.Any = None,
        fill: str | None = None,
        own_comments: bool = False,
        unless: list[str] = [],
        hint: str = "") -> struct:
    """Describes a generator that a language knows.

    Args:
        plugin: its name in the lock, or `PROTOC` for one of protoc's own.
        name: NAME of `--NAME_out`, where the lock's executable does not tell.
        options: those it gets beside a target's own.
        own_options: those it gets, where a target does not say otherwise, when
            it is run over the target's own files alone: what keeps it from
            writing imported ones.
        files: function of an import path and of the options that returns the
            paths of the files that are written for it.
        fill: content of a file that is not written because there was nothing to
            write, in the sources of a compiled library.
        own_comments: whether it reads the comments of no imported file, when it
            is run over the target's own files alone and no option of the target
            stands in place of one of `own_options`: then it need not run again
            where nothing else of an imported file was changed.
        unless: options of a target that stand in place of all of `options`.
        hint: what plugins.toml must say, where the catalogue does not know the plugin.

    Returns:
        The struct that `pick_generators` takes.
    """
    return struct(
        files = files,
        fill = fill,
        hint = hint,
        name = name,
        options = options,
        own_comments = own_comments,
        own_options = own_options,
        plugin = plugin,
        unless = unless,
    )

def pick_generators(
        ctx: AnalysisContext,
        main: struct,
        extras: list[(struct, dict[str, typing.Any])] = []) -> list[struct]:
    """Picks the versions of all generators that a target asks for, or fails.

    Args:
        ctx: of a rule with `plugin_attrs` and `proto_attrs`.
        main: the generator that `plugin_version`, `options` and `out_name` are about.
        extras: others, each with its options.

    Returns:
        A list of what `generate` runs, the main generator first, and then those
        of `extras` and of the attribute `plugins`.
    """
    wanted = [(main, ctx.attrs.plugin_version, ctx.attrs.out_name, ctx.attrs.options)]
    for known, options in extras:
        wanted.append((known, ctx.attrs.versions.get(known.plugin), None, options))
    for plugin, options in ctx.attrs.plugins.items():
        wanted.append((generator(plugin), ctx.attrs.versions.get(plugin), None, options))
    picked = [_pick(ctx, *w) for w in wanted]
    unused = [name for name in ctx.attrs.versions if name not in [p.plugin for p in picked[1:]]]
    if unused:
        fail("{}: `versions` speaks of `{}`, which the target does not use".format(ctx.label.raw_target(), "`, `".join(unused)))
    return picked

def _pick(
        ctx: AnalysisContext,
        known: struct,
        version: str | None,
        out_name: str | None,
        given: dict[str, typing.Any]) -> struct:
    """Picks one generator. See `pick_generators`."""
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    plugin = known.plugin
    own = plugin in [PROTOC, toolchain.protoc_name]
    if own:
        plugin = toolchain.protoc_name
        version = version or toolchain.protoc_version
    if known.hint and plugin not in toolchain.plugins:
        fail("{}: plugin `{}` is not locked. {}, then run: lockgen update".format(ctx.label.raw_target(), plugin, known.hint))
    version = pick(toolchain.plugins, plugin, version)
    found = toolchain.plugins[plugin][version]
    name = out_name or known.name or (None if own else found.option_name)
    if name == None and own:
        fail("{}: which of protoc's generators? Name it with `out_name`, such as `out_name = \"python\"` for --python_out".format(ctx.label.raw_target()))
    if name == None:
        fail("{}: `{}` is locked, but it is no protoc plugin, for its executable is not called protoc-gen-NAME; if it is one, give the name with `out_name`".format(ctx.label.raw_target(), plugin))
    options = {} if [key for key in known.unless if key in given] else dict(known.options)
    options.update(given)
    return struct(
        own = own,
        executable = found.executable,
        files = known.files,
        fill = known.fill,
        name = name,
        options = options,
        # protoc's own generators write the comments of own files alone.
        own_comments = own or (known.own_comments and not [key for key in known.own_options if key in given]),
        own_options = known.own_options,
        plugin = plugin,
        title = "{} {}".format(plugin, version),
    )

def generate(
        ctx: AnalysisContext,
        generators: list[struct],
        out: str,
        info: Provider,
        own: bool = True) -> Artifact:
    """Declares one action that runs some generators into one folder.

    Args:
        ctx: of a rule with `plugin_attrs` and `proto_attrs`.
        generators: what `pick_generators` returned.
        out: name of the folder of generated code, or of the archive if it ends with `.jar`.
        info: the ProtoInfo of the files.
        own: whether imported files are other targets' business.

    Returns:
        The folder, which holds what the generators write, at the paths they
        choose.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    archive = out.endswith(".jar")
    folder = ctx.actions.declare_output(out, dir = not archive, has_content_based_path = True)

    # One run of protoc for all plugins, and one for each other version of protoc.
    runs = {}
    for g in generators:
        key = g.title if g.own else ""
        runs.setdefault(key, []).append(g)
    if "" in runs:
        # protoc's own generators of the toolchain's version join the plugins.
        default = "{} {}".format(toolchain.protoc_name, toolchain.protoc_version)
        runs[""] = runs.pop(default, []) + runs[""]
    script = (_CMD[:3] if archive else list(_CMD)) if toolchain.windows else (_SH[:1] if archive else list(_SH))
    for i, run in enumerate(runs.values()):
        script.append(_protoc(ctx, toolchain, run, "{}.{}.args".format(out, i + 1), info, own))
    command = ctx.actions.write(
        out + (".cmd" if toolchain.windows else ".sh"),
        script,
        has_content_based_path = True,
        is_executable = True,
        with_inputs = True,
    )
    ctx.actions.run(
        cmd_args([] if toolchain.windows else "/bin/sh", command, folder.as_output()),
        category = "protoc_generate",
        # Buck2 shows it beside the target when the action fails.
        identifier = "{} by {} on {}".format(out, ", ".join([g.title for g in generators]), toolchain.platform),
        allow_cache_upload = True,
        env = {},
        error_handler = protoc_error,
    )
    return folder

def _protoc(
        ctx: AnalysisContext,
        toolchain: Provider,
        run: list[struct],
        arguments: str,
        info: Provider,
        own: bool) -> cmd_args:
    """Returns the line of a script that runs one protoc with some generators."""
    executable = toolchain.protoc.executable
    names = []
    if own and not [g for g in run if not g.own_comments]:
        lines = protoc_inputs(ctx, [info.folder], info.imported)
    else:
        lines = protoc_inputs(ctx, project_artifacts(ctx.actions, info.sources))
    for g in run:
        name = g.name
        if g.own:
            executable = g.executable
        else:
            for _ in range(len(run) + 1):
                if name in names or name in _BUILT_IN:
                    name += "_plugin"
            lines.append(cmd_args("--plugin=protoc-gen-", name, "=", g.executable, delimiter = ""))
        names.append(name)
        lines += ["--{}_opt={}".format(name, option) for option in _options(g.own_options | g.options if own else g.options)]
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

def _options(options: dict[str, typing.Any]) -> list[str]:
    """Renders options as protoc hands them to a plugin."""
    rendered = []
    for key, value in options.items():
        for item in value if type(value) == "list" else [value]:
            if type(item) == "bool":
                item = "true" if item else "false"
            rendered.append(key if item == "" else "{}={}".format(key, item))
    return rendered
