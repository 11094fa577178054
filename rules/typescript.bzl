"""TypeScript from .proto files.

```python
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

typescript_proto_library(
    name = "api_ts",
    srcs = ["api.proto"],
    plugin = "ts-proto",
    plugin_version = "2.7.2",
)

typescript_check_test(
    name = "check",
    srcs = ["client.ts"],
    deps = [":api_ts"],
)
```
"""

load("//prelude:generate.bzl", "Files", "Generator", "Options", "run_script")
load("//prelude:library.bzl", "Language", "codegen_rule", "compile", "program_test", "suffixes")
load("//prelude:lock.bzl", "pick")
load("//prelude:proto_library.bzl", "LABELS", "proto_attrs")
load("//prelude:providers.bzl", "ProtoInfo", "ProtobufToolchainInfo")
load("//prelude:runtimes.bzl", "default_runtimes")

# Replaces a file that a plugin omits because it would be empty.
_NOTHING = "export {};\n"

# What protobuf-ts writes for services, by option.
_STYLES = {
    "client_generic": ".client",
    "client_grpc1": ".grpc-client",
    "server_generic": ".server",
    "server_grpc1": ".grpc-server",
}

def _es_files(ending: str) -> Files:
    """Returns the `files` of protoc-gen-es and similar plugins."""

    def files(path: str, options: Options) -> list[str]:
        targets = options.get("target", "js+dts")
        targets = targets.split("+") if type(targets) == "string" else targets
        suffix = {"dts": ".d.ts", "js": ".js", "ts": ".ts"}
        return [path.removesuffix(".proto") + ending + suffix[t] for t in targets if t in suffix]

    return files

def _protobuf_ts_files(path: str, options: Options) -> list[str]:
    endings = [ending for style, ending in _STYLES.items() if style in options]
    if not [style for style in options if style.startswith("client_")]:
        endings.append(_STYLES["client_generic"])
    suffixes = [".js", ".d.ts"] if [o for o in options if o.startswith("output_javascript")] else [".ts"]
    return [path.removesuffix(".proto") + ending + suffix for ending in [""] + endings for suffix in suffixes]

def _grpc_web_files(path: str, options: Options) -> list[str]:
    if options["import_style"] != "typescript":
        return []
    folder, slash, base = path.removesuffix(".proto").rpartition("/")
    parts = base.replace("-", "_").split("_")
    return [folder + slash + "".join([p[:1].upper() + p[1:] for p in parts]) + "ServiceClientPb.ts"]

_TYPESCRIPT = Language(
    name = "typescript",
    plugin = "protoc-gen-ts",
    generators = [
        Generator(plugin = "protobuf-ts", runtime = "protobuf-ts-runtime", files = _protobuf_ts_files, fill = _NOTHING),
        Generator(plugin = "protoc-gen-es", runtime = "bufbuild-protobuf", own_comments = True, files = _es_files("_pb")),
        Generator(plugin = "protoc-gen-ts", files = suffixes(".ts")),
        Generator(
            plugin = "ts-proto",
            runtime = lambda version: "protobufjs" if version.startswith("1.") else "bufbuild-protobuf",
            own_comments = True,
            own_options = {"emitImportedFiles": False},
            files = suffixes(".ts"),
        ),
    ],
    extras = {
        "connect": Generator(
            plugin = "protoc-gen-connect-es",
            runtime = "connectrpc-connect",
            doc = "Whether protoc-gen-connect-es 1.x writes services, with protoc-gen-es 1.x. Since 2.x, protoc-gen-es writes them itself.",
            files = _es_files("_connect"),
            fill = _NOTHING,
            own_comments = True,
        ),
        "grpc_web": Generator(
            plugin = "protoc-gen-grpc-web",
            doc = "Whether protoc-gen-grpc-web writes clients of services.",
            files = _grpc_web_files,
            fill = _NOTHING,
            options = {"import_style": "typescript", "mode": "grpcwebtext"},
        ),
    },
    groups = {"srcs": [".ts", ".js"]},
)

typescript_proto_codegen = codegen_rule(
    _TYPESCRIPT,
    doc = """TypeScript generated from .proto files; see `typescript_proto_library`.

    The output is a folder with the code of the target's own files, at their import
    paths, and whatever else the plugin writes for them: protoc-gen-ts also writes
    imported files. `[srcs]` has the files of the target's own sources, each of
    which is also a sub-target, such as `[api/shop.ts]`. With ts-proto, `[all]` also
    has its well-known types.
    """,
)

def _library_impl(ctx: AnalysisContext) -> list[Provider]:
    packages = [dep for dep in ctx.attrs.deps if ProtoInfo not in dep]
    if len(packages) > 1:
        fail("{}: `runtime` is one target, whose output is a folder with node_modules in it".format(ctx.label.raw_target()))
    sub_targets = {}
    for dep in packages:
        sub_targets["packages"] = [DefaultInfo(default_outputs = dep[DefaultInfo].default_outputs)]
    return [DefaultInfo(default_outputs = ctx.attrs.generated[DefaultInfo].default_outputs, sub_targets = sub_targets)]

_library = rule(
    impl = _library_impl,
    doc = "Generated TypeScript with the packages that it imports.",
    attrs = {
        "deps": attrs.list(attrs.dep(), default = [], doc = "The packages, and dependencies that are code."),
        "generated": attrs.dep(providers = [ProtoInfo], doc = "The code."),
    },
)

def typescript_proto_library(
        name: str,
        runtime: list[str] | None = None,
        visibility: list[str] = [],
        **kwargs) -> None:
    """TypeScript generated from .proto files by a locked protoc plugin, and the packages that it imports.

    The underlying rule is `typescript_proto_codegen`; the target has its output,
    attributes, sub-targets and errors.

    Args:
        name: Name of the target.
        runtime: What the generated code imports: one target, whose output is a folder
            with node_modules in it. By default the runtimes of the lock, where
            `runtimes` of `[buck2_protobuf]` lists `typescript`. With it the target
            also has the sub-target `[packages]`, which is that folder.
        visibility: Who may depend on the target.
        **kwargs: Attributes of `typescript_proto_codegen`.
    """
    compile(
        name = name,
        runtime = runtime,
        visibility = visibility,
        default = default_runtimes("typescript"),
        codegen = typescript_proto_codegen,
        attributes = kwargs,
        library = _library,
        library_attributes = {"generated": ":{}-gen".format(name)},
    )

def _merged(ctx: AnalysisContext, folders: list[Artifact]) -> Artifact:
    """Returns one folder with the content of several."""
    if len(folders) == 1:
        return folders[0]
    merged = ctx.actions.declare_output("merged", dir = True, has_content_based_path = True)
    if ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo].windows:
        lines = ['set "out=%~1"', 'set "out=%out:/=\\%"', 'mkdir "%out%"', ":next", 'if "%~2"=="" exit /b 0', 'set "in=%~2"', 'set "in=%in:/=\\%"', 'xcopy "%in%" "%out%" /e /i /q /y >nul || exit /b 1', "shift /2", "goto next"]
    else:
        lines = ['out=$1; shift; command -p mkdir -p "$out"; for in in "$@"; do command -p cp -R "$in/." "$out/" || exit; done']
    run_script(ctx, "merge", lines, [merged.as_output()] + folders, category = "typescript_merge")
    return merged

def _program_attrs() -> dict[str, Attr]:
    return {
        "deps": attrs.list(attrs.dep(providers = [ProtoInfo]), default = [], doc = "Libraries, whose code is in the folder `gen`."),
        "labels": LABELS,
        "packages": attrs.option(attrs.dep(), default = None, doc = "A target whose output is a folder with node_modules in it; the default is that of `deps`."),
        "srcs": attrs.list(attrs.source(), default = [], doc = "Files beside the folder `gen`, at their paths in the package."),
        "_protobuf_toolchain": proto_attrs()["_protobuf_toolchain"],
    }

def _program(ctx: AnalysisContext, more: dict[str, Artifact]) -> Artifact:
    """Declares a folder with code, what it imports, and other files."""
    code = []
    packages = {}
    for dep in ctx.attrs.deps:
        sub_targets = dep[DefaultInfo].sub_targets
        if "all" not in sub_targets:
            fail("{}: {} has no generated code; name a typescript_proto_library in deps".format(ctx.label.raw_target(), dep.label.raw_target()))
        code += sub_targets["all"][DefaultInfo].default_outputs
        for folder in sub_targets["packages"][DefaultInfo].default_outputs if "packages" in sub_targets else []:
            packages[folder] = dep.label.raw_target()
    if ctx.attrs.packages != None:
        packages = {folder: None for folder in ctx.attrs.packages[DefaultInfo].default_outputs}
    if len(packages) > 1:
        fail("{}: {} have other packages; name those of the program: packages = \"...\"".format(ctx.label.raw_target(), " and ".join([str(p) for p in packages.values()])))
    files = {"package.json": ctx.actions.write_json("package.json", {"private": True, "type": "module"}, has_content_based_path = True)}
    files |= {source.short_path: source for source in ctx.attrs.srcs} | more
    if code:
        files["gen"] = _merged(ctx, code)
    for folder in packages:
        files["node_modules"] = folder.project("node_modules")
    out = ctx.actions.declare_output("program", dir = True, has_content_based_path = True)

    # Copied, since tsc and node look for packages around the files that links lead to.
    ctx.actions.copied_dir(out, files)
    return out

# What tsc is told, unless a target says otherwise. It checks declarations, too, which is
# what most plugins write.
_COMPILER_OPTIONS = {
    "allowImportingTsExtensions": True,
    "lib": ["ES2022", "DOM", "DOM.Iterable"],
    "module": "esnext",
    "moduleResolution": "bundler",
    "noEmit": True,
    "skipLibCheck": False,
    "strict": True,
    "target": "es2022",
}

def _typescript_check_test_impl(ctx: AnalysisContext) -> list[Provider]:
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    version = pick(toolchain.plugins, ctx.attrs.plugin, ctx.attrs.plugin_version)
    config = ctx.actions.write_json(
        "tsconfig.json",
        {"compilerOptions": _COMPILER_OPTIONS | ctx.attrs.compiler_options, "exclude": ["node_modules"]},
        has_content_based_path = True,
    )
    program = _program(ctx, {"tsconfig.json": config})
    command = cmd_args(toolchain.plugins[ctx.attrs.plugin][version].executable, "--project", cmd_args(program, format = "{}/tsconfig.json"))
    return program_test(ctx, program, command)

typescript_check_test = rule(
    impl = _typescript_check_test_impl,
    doc = """Fails if generated code, or code that uses it, has errors of types.

    The compiler is the locked `tsc`, on the locked node: `lockgen add tsc`. The
    output is the folder that it checks: the code of `deps` in `gen`, `srcs`
    beside that, and the `node_modules` of `deps`. So a file of `srcs` imports
    `./gen/api/shop_pb.js`. `buck2 run` prints the errors, too.
    """,
    attrs = _program_attrs() | {
        "compiler_options": attrs.dict(attrs.string(), attrs.any(), default = {}, doc = "Options of a tsconfig.json that are other than `strict` code for a bundler."),
        "plugin": attrs.string(default = "tsc", doc = "Name of the compiler in the lock."),
        "plugin_version": attrs.option(attrs.string(), default = None, doc = "Version of the compiler, which must be locked; the default is the only or newest one in the lock."),
    },
)

def _typescript_binary_impl(ctx: AnalysisContext) -> list[Provider]:
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    version = pick(toolchain.plugins, ctx.attrs.node, ctx.attrs.node_version)
    program = _program(ctx, {ctx.attrs.main.short_path: ctx.attrs.main})
    main = cmd_args(program, format = "{}/" + ctx.attrs.main.short_path)
    return [
        DefaultInfo(default_output = program),
        RunInfo(args = cmd_args(toolchain.plugins[ctx.attrs.node][version].binary, main)),
    ]

typescript_binary = rule(
    impl = _typescript_binary_impl,
    doc = """A program that the locked node runs: `buck2 run :client`.

    Node runs TypeScript whose types can be left out as it is, since version 22.18; of
    imports it wants whole names of files, such as `./gen/api/shop_pb.js`. The
    output is the folder that it runs in, as of `typescript_check_test`.
    """,
    attrs = _program_attrs() | {
        "main": attrs.source(doc = "The file to run, .ts or .js."),
        "node": attrs.string(default = "node", doc = "Name of node in the lock."),
        "node_version": attrs.option(attrs.string(), default = None, doc = "Version of node, which must be locked; the default is the only or newest one in the lock."),
    },
)
