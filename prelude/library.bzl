"""What the library rules of all languages have in common.

A `Language` lists the plugins of a language, how to run them and which files they
write. `codegen_rule` makes the rule for it, and `compile` adds a library of Buck2's
prelude that compiles the generated code.
"""

load(":generate.bzl", "Files", "Generator", "Picked", "generate", "options_attr", "pick_generators", "plugin_attrs", "run_script")
load(":lock.bzl", "misfit")
load(":proto_library.bzl", "LABELS", "compile_protos", "proto_attrs")
load(":providers.bzl", "ProtoInfo", "ProtobufToolchainInfo")
load(":sync.bzl", "sync", "sync_attrs")

# Attributes of a target of any rule, with values of any type.
Attributes = dict[str, typing.Any]

# A language.
Language = record(
    # Key in the toolchain's `defaults`, and name of the folder of generated code.
    name = str,
    # Plugin of a target that names none, unless `defaults` has one.
    plugin = field(str, ""),
    # Known plugins for a target. Any other plugin only gets the target's own options.
    generators = field(list[Generator], []),
    # Generators that an attribute enables, by its name.
    extras = field(dict[str, Generator], {}),
    # Endings of the files of a sub-target, by its name.
    groups = field(dict[str, list[str]], {}),
    # File extension of an archive of the code, which is the sub-target `[archive]`.
    archive = field(str | None, None),
)

def suffixes(*endings, stem: typing.Callable[[str], str] | None = None) -> Files:
    """Returns the `files` of a generator that writes beside each source.

    Args:
        *endings: what replaces `.proto`, one for each file.
        stem: converts the import path of a source to the path before the ending, if
            that is not simply the path without `.proto`.

    Returns:
        The `files` of a `Generator`.
    """
    return lambda path, _options: [(stem(path) if stem else path.removesuffix(".proto")) + ending for ending in endings]

def program_test(ctx: AnalysisContext, output: Artifact, command: cmd_args) -> list[Provider]:
    """Returns the providers of a test that passes if a program does.

    Args:
        ctx: the context of the rule, which has `labels` among its attributes.
        output: what the program looks at; the output of the target.
        command: the program and its arguments.
    """
    return [
        DefaultInfo(default_output = output),
        RunInfo(args = command),
        ExternalRunnerTestInfo(
            type = "custom",
            command = [command],
            labels = ctx.attrs.labels,
            run_from_project_root = True,
            use_project_relative_paths = True,
        ),
    ]

def library_attrs(lang: Language) -> dict[str, Attr]:
    """Returns the attributes of a language's rule, which `library` reads.

    Args:
        lang: the language.
    """
    extras = {
        name: attrs.one_of(attrs.bool(), options_attr(), default = False, doc = "{} True, or the options of `{}`.".format(extra.doc, extra.plugin))
        for name, extra in lang.extras.items()
    }
    return proto_attrs() | plugin_attrs() | sync_attrs() | extras | {
        "files": attrs.list(
            attrs.string(),
            default = [],
            doc = "Paths of generated files to provide as sub-targets: those whose names depend on the content of a .proto file, and those that `plugins` write.",
        ),
        "locked_runtimes": attrs.bool(default = False, doc = "Whether the code is compiled with the runtimes in the lock, which must then be compatible; set by the library's macro."),
        "proto": attrs.option(
            attrs.dep(providers = [ProtoInfo]),
            default = None,
            doc = "A proto_library to generate code from, in place of `srcs` and `deps`.",
        ),
    }

# The end of the documentation of every language's rule.
_DOC = """
    Other sub-targets: `[all]` is the folder with the code of dependencies included;
    `[descriptor]` is the descriptor set; `[sync]` copies the code into the source
    tree; each path in `files` is that file. Other libraries may have the target in
    their `deps`, like a proto_library.

    It is an error if a plugin or a version is not locked, a plugin is not a protoc
    plugin, `versions` names one that the target does not use, or `srcs` or `deps`
    are set with `proto`. The message says what to write or to run. Messages of
    protoc name a .proto file by its import path.
    """

def codegen_rule(lang: Language, doc: str, check: typing.Callable[[AnalysisContext], None] | None = None) -> typing.Callable:
    """Returns the rule that generates code of a language, to be assigned to a global variable.

    Args:
        lang: the language.
        doc: documentation of the rule, before the part that all languages share.
        check: fails if attributes of a target contradict each other.

    Returns:
        The rule, with the attributes of `library_attrs`.
    """

    def impl(ctx: AnalysisContext) -> list[Provider]:
        if check:
            check(ctx)
        return library(ctx, lang)

    return rule(impl = impl, doc = doc.rstrip() + "\n" + _DOC, attrs = library_attrs(lang))

def library(ctx: AnalysisContext, lang: Language) -> list[Provider]:
    """Declares the generated code of a target.

    Args:
        ctx: of a rule with `library_attrs`.
        lang: the language.

    Returns:
        A DefaultInfo with the folder of generated code and its sub-targets, and a
        ProtoInfo. It fails like `pick_generators` and `compile_protos`, and if a
        target has both `proto` and its own sources.
    """
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    plugin = ctx.attrs.plugin or toolchain.defaults.get(lang.name, lang.plugin)
    known = {g.plugin: g for g in lang.generators}
    extras = []
    for name, extra in lang.extras.items():
        given = getattr(ctx.attrs, name)
        if given != False:
            extras.append((extra, {} if given == True else given))
    generators = pick_generators(ctx, known.get(plugin) or Generator(plugin = plugin), extras)
    for g in generators if ctx.attrs.locked_runtimes else []:
        needs = g.generator.runtime
        problem = misfit(toolchain.runtimes, lang.name, g.plugin, g.version, needs if type(needs) == "string" else needs(g.version))
        if problem:
            fail("{}: {}; or name libraries of your own: runtime = [...]".format(ctx.label.raw_target(), problem))
    info = _proto(ctx)
    own = generate(ctx, generators, lang.name, info)
    everything = generate(ctx, generators, lang.name + "-all", info, own = False)
    files = _files(generators, info.paths) | {file: None for file in ctx.attrs.files}
    sub_targets = {file: [DefaultInfo(default_output = own.project(file))] for file in files}
    sub_targets |= {
        "all": [DefaultInfo(default_output = everything)],
        "descriptor": [DefaultInfo(default_output = info.descriptor)],
        "sync": sync(ctx, own),
    }
    whole = _filled(ctx, own, files) if [f for f in files.values() if f != None] else own
    for group, endings in lang.groups.items():
        members = [f for f in files if [e for e in endings if f.endswith(e)]]
        sub_targets[group] = [DefaultInfo(default_outputs = [whole.project(f, hide_prefix = True) for f in members])]
    if lang.archive:
        archive = generate(ctx, generators, ctx.label.name + lang.archive, info)
        sub_targets["archive"] = [DefaultInfo(default_output = archive)]
    return [DefaultInfo(default_output = own, sub_targets = sub_targets), info]

def _proto(ctx: AnalysisContext) -> Provider:
    """Returns the ProtoInfo for `proto`, or for `srcs` and `deps`."""
    if ctx.attrs.proto == None:
        return compile_protos(ctx)
    if ctx.attrs.srcs or ctx.attrs.deps:
        fail("{}: `proto` has its own sources and dependencies; leave out `srcs` and `deps`".format(ctx.label.raw_target()))
    info = ctx.attrs.proto[ProtoInfo]

    # Field by field, because the type of `info` may be another cell's copy.
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

def _files(generators: list[Picked], paths: list[str]) -> dict[str, str | None]:
    """Returns the files that generators are known to write for sources, each with the content to use if it is missing."""
    return {
        file: g.generator.fill
        for path in paths
        for g in generators
        if g.generator.files
        for file in g.generator.files(path, g.options)
    }

def _filled(ctx: AnalysisContext, folder: Artifact, files: dict[str, str | None]) -> Artifact:
    """Declares a copy of a folder with missing files added.

    A rule of the prelude must know its sources before anything runs, but a
    generator of services writes nothing for a file without services.
    """
    filled = ctx.actions.declare_output("filled", dir = True, has_content_based_path = True)
    contents = {content: True for content in files.values() if content != None}
    empty = {
        content: ctx.actions.write("empty.{}".format(i), content, has_content_based_path = True)
        for i, content in enumerate(contents)
    }
    missing = {file: empty[content] for file, content in files.items() if content != None}
    if ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo].windows:
        lines = ['set "in=%~1"', 'set "in=%in:/=\\%"', 'set "out=%~2"', 'set "out=%out:/=\\%"', 'xcopy "%in%" "%out%" /e /i /q >nul || exit /b 1']
        for file, source in missing.items():
            path = "%out%\\" + file.replace("/", "\\")
            source = cmd_args(source, format = '"{}"', replace_regex = ("/", "\\"))
            lines.append(cmd_args('if not exist "{}" copy /y'.format(path), source, '"{}" >nul || exit /b 1'.format(path), delimiter = " "))
    else:
        lines = ['command -p cp -R -- "$1/." "$2" || exit']
        for file, source in missing.items():
            path = cmd_args('"$2"', cmd_args("/" + file, quote = "shell"), delimiter = "")
            source = cmd_args(source, quote = "shell")
            lines.append(cmd_args("[ -e", path, "] || command -p cp --", source, path, "|| exit", delimiter = " "))
    run_script(ctx, "fill", lines, [folder, filled.as_output()], category = "protoc_fill")
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
    doc = "Generated code and the library that was compiled from it, as one target.",
    attrs = {
        "generated": attrs.dep(providers = [ProtoInfo], doc = "The generated code, as the sub-target `[code]`; the target also has its sub-targets."),
        "labels": LABELS,
        "library": attrs.dep(pulls_and_pushes_plugins = plugins.All, doc = "The library."),
    },
)

def compile(
        name: str,
        runtime: list[str] | None,
        visibility: list[str],
        default: list[str] | None,
        codegen: typing.Callable,
        attributes: Attributes,
        library: typing.Callable,
        library_attributes: Attributes,
        deps: str = "deps") -> None:
    """Declares generated code and, with a runtime, the library compiled from it.

    Args:
        name: of the target. With a runtime it has the providers of both.
        runtime: what the generated code needs at compile time, or None for the default.
        visibility: of the target.
        default: the runtimes of the lock that it needs, or None for code only.
        codegen: the rule that generates code.
        attributes: of `codegen`. `deps` are also those of `library`; with `proto`,
            only of `library`.
        library: the rule of Buck2's prelude.
        library_attributes: of `library`, in which NAME-gen is the target with the
            code.
        deps: the attribute of `library` for dependencies.
    """
    if runtime == None and default != None:
        runtime = default
        attributes = attributes | {"locked_runtimes": True}
    if runtime == None:
        codegen(name = name, visibility = visibility, **attributes)
        return

    # A proto_library already has the dependencies of its files; `deps` are then the
    # libraries in the language for what these import.
    generated = attributes
    if attributes.get("proto") != None:
        generated = {key: value for key, value in attributes.items() if key != "deps"}
    codegen(name = name + "-gen", **generated)
    library(name = name + "-lib", **(library_attributes | {deps: runtime + attributes.get("deps", [])}))
    _compiled(
        name = name,
        generated = ":{}-gen".format(name),
        labels = attributes.get("labels", []),
        library = ":{}-lib".format(name),
        visibility = visibility,
    )
