"""What the library rules of all languages have in common.

A language is a table: which plugins it knows, what it tells them, and how their
files are called. `library` is the implementation of its rule, and `compiled`
puts the language's own rule of Buck2's prelude behind the generated code.
"""

load(":generate.bzl", "generate", "generator", "options_attr", "pick_generators", "plugin_attrs")
load(":proto_library.bzl", "compile_protos", "proto_attrs")
load(":providers.bzl", "ProtoInfo", "ProtobufToolchainInfo")
load(":sync.bzl", "sync", "sync_attrs")

def language(
        name: str,
        generators: dict[str, struct],
        extras: dict[str, struct] = {},
        groups: dict[str, list[str]] = {},
        archive: str | None = None) -> struct:
    """Describes a language.

    Args:
        name: key of the toolchain's `defaults`, and name of the folder.
        generators: those that an attribute `plugin` may name, by that name; what
            is not among them is taken for a plugin that needs nothing said.
        extras: those that an attribute of their own adds, by its name.
        groups: suffixes of the files of a sub-target, by its name.
        archive: suffix of an archive of the code, which is then a sub-target.

    Returns:
        The struct that `library_attrs` and `library` take.
    """
    return struct(
        archive = archive,
        extras = extras,
        generators = generators,
        groups = groups,
        name = name,
    )

def suffixes(*endings, stem: typing.Any = None) -> typing.Any:
    """Returns the `files` of a generator that writes beside each source.

    Args:
        *endings: in place of `.proto`.
        stem: function that makes the rest of the path, where that is not it.

    Returns:
        A function of import path and options.
    """
    return lambda path, _options: [(stem or _stem)(path) + ending for ending in endings]

def _stem(path: str) -> str:
    return path.removesuffix(".proto")

def library_attrs(lang: struct, about: dict[str, str] = {}) -> dict[str, Attr]:
    """Returns the attributes of a language's rule.

    Args:
        lang: what `language` returned.
        about: documentation of the attribute of each extra.

    Returns:
        Them, for `rule`.
    """
    extras = {
        name: attrs.one_of(attrs.bool(), options_attr(), default = False, doc = about[name] + " True, or the options of `{}`.".format(extra.plugin))
        for name, extra in lang.extras.items()
    }
    return proto_attrs() | plugin_attrs() | sync_attrs() | extras | {
        "files": attrs.list(
            attrs.string(),
            default = [],
            doc = "Paths of generated files that shall be sub-targets, where what is in a .proto file names them and not its path: those of Java, Rust and betterproto2, and of `plugins`.",
        ),
        "proto": attrs.option(
            attrs.dep(providers = [ProtoInfo]),
            default = None,
            doc = "A proto_library to generate code of, in place of `srcs` and `deps`.",
        ),
    }

def proto_of(ctx: AnalysisContext) -> Provider:
    """Returns the ProtoInfo of a target that has `proto`, or `srcs` and `deps`.

    Args:
        ctx: of a rule with `library_attrs`.

    Returns:
        That of `proto`, or that of the target's own sources.
    """
    if ctx.attrs.proto == None:
        return compile_protos(ctx)
    if ctx.attrs.srcs or ctx.attrs.deps:
        fail("{}: `proto` has its own sources and dependencies; leave out `srcs` and `deps`".format(ctx.label.raw_target()))
    info = ctx.attrs.proto[ProtoInfo]

    # The fields one by one: `info` may be another cell's copy of the type.
    return ProtoInfo(
        descriptor = info.descriptor,
        descriptors = info.descriptors,
        folder = info.folder,
        importable = info.importable,
        imported = info.imported,
        paths = info.paths,
        sources = info.sources,
        transitive_paths = info.transitive_paths,
    )

def library(ctx: AnalysisContext, lang: struct) -> list[Provider]:
    """Implements the rule of a language.

    Args:
        ctx: of a rule with `library_attrs`.
        lang: what `language` returned.

    Returns:
        A DefaultInfo with the folder and its sub-targets, and a ProtoInfo.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    plugin = ctx.attrs.plugin or toolchain.defaults[lang.name]
    extras = []
    for name, extra in lang.extras.items():
        given = getattr(ctx.attrs, name)
        if given != False:
            extras.append((extra, {} if given == True else given))
    return generated(
        ctx,
        pick_generators(ctx, lang.generators.get(plugin) or generator(plugin), extras),
        lang.name,
        lang.groups,
        lang.archive,
    )

def generated(
        ctx: AnalysisContext,
        generators: list[struct],
        folder: str,
        groups: dict[str, list[str]] = {},
        archive: str | None = None) -> list[Provider]:
    """Declares what some generators make of a target's files.

    Args:
        ctx: of a rule with `library_attrs`.
        generators: what `pick_generators` returned.
        folder: name of the folder.
        groups: as in `language`.
        archive: as in `language`.

    Returns:
        A DefaultInfo with the folder and its sub-targets, and a ProtoInfo.
    """
    info = proto_of(ctx)
    own = generate(ctx, generators, folder, info)
    everything = generate(ctx, generators, folder + "-all", info, own = False)
    files = {
        file: g.fill
        for path in info.paths
        for g in generators
        if g.files
        for file in g.files(path, g.options)
    } | {file: None for file in ctx.attrs.files}
    sub_targets = {file: [DefaultInfo(default_output = own.project(file))] for file in files}
    sub_targets |= {
        "all": [DefaultInfo(default_output = everything)],
        "descriptor": [DefaultInfo(default_output = info.descriptor)],
        "sync": sync(ctx, own),
    }
    whole = _filled(ctx, own, files) if [f for f in files.values() if f != None] else own
    for group, endings in groups.items():
        members = [f for f in files if [e for e in endings if f.endswith(e)]]
        sub_targets[group] = [DefaultInfo(default_outputs = [whole.project(f, hide_prefix = True) for f in members])]
    if archive:
        name = ctx.label.name + archive
        sub_targets["archive"] = [DefaultInfo(default_output = generate(ctx, generators, name, info))]
    return [DefaultInfo(default_output = own, sub_targets = sub_targets), info]

def _filled(ctx: AnalysisContext, folder: Artifact, files: dict[str, str | None]) -> Artifact:
    """Declares a folder in which no file is missing.

    A rule of the prelude needs to know its sources before anything runs, but a
    generator of services writes nothing for a file that has none.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    filled = ctx.actions.declare_output("filled", dir = True, has_content_based_path = True)
    empty = {
        content: ctx.actions.write("empty.{}".format(i), content, has_content_based_path = True)
        for i, content in enumerate({f: True for f in files.values() if f != None})
    }
    if toolchain.windows:
        script = ["@echo off", "setlocal", 'set "in=%~1"', 'set "in=%in:/=\\%"', 'set "out=%~2"', 'set "out=%out:/=\\%"', 'xcopy "%in%" "%out%" /e /i /q >nul || exit /b 1']
        for file, content in files.items():
            if content != None:
                path = "%out%\\" + file.replace("/", "\\")
                script.append(cmd_args('if not exist "{}" copy /y'.format(path), cmd_args(empty[content], format = '"{}"', replace_regex = ("/", "\\")), '"{}" >nul || exit /b 1'.format(path), delimiter = " "))
    else:
        script = ["#!/bin/sh", 'command -p cp -R -- "$1/." "$2" || exit']
        for file, content in files.items():
            if content != None:
                path = cmd_args('"$2"', cmd_args("/" + file, quote = "shell"), delimiter = "")
                script.append(cmd_args("[ -e", path, "] || command -p cp --", cmd_args(empty[content], quote = "shell"), path, "|| exit", delimiter = " "))
    command = ctx.actions.write(
        "fill" + (".cmd" if toolchain.windows else ".sh"),
        script,
        has_content_based_path = True,
        is_executable = True,
        with_inputs = True,
    )
    ctx.actions.run(
        cmd_args([] if toolchain.windows else "/bin/sh", command, folder, filled.as_output()),
        category = "protoc_fill",
        allow_cache_upload = True,
        env = {},
    )
    return filled

def _compiled_impl(ctx: AnalysisContext) -> list[Provider]:
    made = ctx.attrs.library[DefaultInfo]
    sub_targets = {"code": ctx.attrs.generated.providers}
    for dep in [ctx.attrs.library, ctx.attrs.generated]:
        sub_targets |= {name: dep.sub_target(name).providers for name in dep[DefaultInfo].sub_targets}
    return [
        DefaultInfo(default_outputs = made.default_outputs, other_outputs = made.other_outputs, sub_targets = sub_targets),
    ] + [p for p in ctx.attrs.library.providers if type(p) != "DefaultInfo"] + [ctx.attrs.generated[ProtoInfo]]

_compiled = rule(
    impl = _compiled_impl,
    doc = "Generated code and the library that was compiled of it, as one target.",
    attrs = {
        "generated": attrs.dep(providers = [ProtoInfo], doc = "The generated code, which is the sub-target `[code]`; its sub-targets are the target's."),
        "labels": attrs.list(attrs.string(), default = [], doc = "Words for queries; nothing here reads them."),
        "library": attrs.dep(doc = "The library."),
    },
)

def compile(
        name: str,
        rule: typing.Any,
        library: typing.Any,
        runtime: list[str] | None,
        visibility: list[str],
        attributes: dict[str, typing.Any],
        about: dict[str, typing.Any],
        deps: str = "deps") -> None:
    """Declares generated code, and the library made of it where a runtime is given.

    Args:
        name: of the target. With a runtime it has the providers of both.
        rule: the rule that generates code.
        library: the rule of Buck2's prelude.
        runtime: what the generated code needs at compile time, or None for code only.
        visibility: of the target.
        attributes: of `rule`.
        about: attributes of `library`, for which NAME-gen is the target that has the code.
        deps: the attribute of `library` for dependencies.
    """
    if runtime == None:
        rule(name = name, visibility = visibility, **attributes)
        return
    rule(name = name + "-gen", **attributes)
    about = about | {deps: runtime + attributes.get("deps", [])}
    library(name = name + "-lib", **about)
    _compiled(
        name = name,
        generated = ":{}-gen".format(name),
        labels = attributes.get("labels", []),
        library = ":{}-lib".format(name),
        visibility = visibility,
    )
