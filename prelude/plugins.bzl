"""protobuf_plugins: one target for every plugin and every proto package of a lock.

Loading and analysis declare downloads but start none. A version is downloaded when
a build needs it, for the platform on which protoc will run: files with a public URL
by Buck2 itself, all others by `fetch`, which then makes one folder of all files and
compares it with the lock. Both run on this machine, wherever code is generated.
"""

load(":fetch.bzl", "Table", "fetch_attrs", "run_fetch")
load(":lock.bzl", "cell_of", "direct_url", "files_of", "jars_of", "option_name", "plugins_of", "prebuilt_fetch")
load(":platforms.bzl", "host_constraints", "host_platform", "platform_select")
load(":providers.bzl", "ProtobufPluginInfo")
load(":runtimes.bzl", "declare_runtimes")

def _needed(ctx: AnalysisContext, wanted: str | None) -> struct | None:
    """Returns the version, from ProtobufPluginInfo, that runs or compiles a plugin, or None."""
    if not wanted:
        return None
    name, _, version = wanted.partition("@")
    for dep in ctx.attrs.needs:
        info = dep[ProtobufPluginInfo]
        if info.name == name:
            return info.versions[version]
    fail("{}: {} is not among its needs".format(ctx.label, wanted))

def _mirrored(mirrors: list[dict[str, str]], url: str) -> bool:
    """Reports whether a mirror may have the file at a URL."""
    return bool([m for m in mirrors if m["from"] == "*" or url.startswith(m["from"])])

def _tree(ctx: AnalysisContext, version: str, locked: Table, entry: Table) -> Artifact:
    """Declares the downloads and the folder of one version."""
    platform = ctx.attrs.platform
    tree = ctx.actions.declare_output(version + "/tree", dir = True, has_content_based_path = True)
    cell = cell_of(locked, platform)
    args = []
    if locked["source"] == "http" and cell.unavailable == None:
        for key, file in files_of(locked, cell.platform).items():
            url = direct_url(file)
            if url == None or _mirrored(ctx.attrs.mirrors, url):
                continue  # `fetch` downloads it
            download = ctx.actions.declare_output("{}/files/{}".format(version, key), has_content_based_path = True)
            ctx.actions.download_file(download, url, sha256 = file["sha256"], size_bytes = file["size"])
            args += ["--file", cmd_args(key, download, delimiter = "=")]
    run_fetch(ctx, version, entry, tree, *args)
    return tree

def _launcher(ctx: AnalysisContext, version: str, name: str, unset: list[str], argv: list[str | cmd_args], before: list[str] = []) -> Artifact:
    """Writes the file that protoc starts, because `--plugin` takes a file without arguments.

    Args:
        ctx: of the plugin.
        version: of the plugin.
        name: of the file.
        unset: environment variables of the user that would change what a runtime does.
        argv: words of the command line.
        before: lines for sh that run before it.
    """
    if ctx.attrs.platform.startswith("windows-"):
        name += ".cmd"
        script = ["@echo off"] + ["set {}=".format(v) for v in unset] + [cmd_args(argv, "%*", delimiter = " ")]
    else:
        script = ["#!/bin/sh"] + (["unset " + " ".join(unset)] if unset else []) + before + [cmd_args("exec", argv, '"$@"', delimiter = " ")]
    launcher = ctx.actions.declare_output("{}/{}".format(version, name), has_content_based_path = True)
    return ctx.actions.write(launcher, script, is_executable = True, with_inputs = True)

# The same as in `fetch`, see internal/install.
_NODE_VARIABLES = [
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE",
    "NODE_PRESERVE_SYMLINKS",
    "NODE_PRESERVE_SYMLINKS_MAIN",
    "NODE_ICU_DATA",
    "OPENSSL_CONF",
    "NODE_V8_COVERAGE",
    "NODE_COMPILE_CACHE",
    "NODE_REDIRECT_WARNINGS",
    "NODE_TEST_CONTEXT",
    "NODE_DEBUG",
    "NODE_DEBUG_NATIVE",
    "NODE_PENDING_DEPRECATION",
]

# Node keeps what it compiled of a plugin for the next run, which takes up to a third off
# its start: https://nodejs.org/api/module.html#module-compile-cache. The folder lies in
# Buck2's output folder and is no input or output of an action. Only Buck2's local executor
# sets the first variable, so a worker does without; the second names the folder of the
# action, "buck-out/v2/tmp/…". Node uses an entry only for the same path and source, and the
# path of a plugin has its digest.
_NODE_COMPILE_CACHE = [
    'case "${BUCK2_DAEMON_UUID:+$BUCK_SCRATCH_PATH}" in */tmp/*) export NODE_COMPILE_CACHE="${BUCK_SCRATCH_PATH%%/tmp/*}/tmp/node-compile-cache" ;; esac',
]

def _node(ctx: AnalysisContext, version: str, runtime: Artifact, main: Artifact) -> Artifact:
    """Returns the launcher of a plugin that another locked plugin runs."""
    return _launcher(ctx, version, ctx.attrs.plugin, _NODE_VARIABLES, [_word(ctx, runtime), _word(ctx, main)], _NODE_COMPILE_CACHE)

# The same flags as in `fetch`, see internal/install.
_JAVA_VARIABLES = ["JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "IBM_JAVA_OPTIONS", "OPENJ9_JAVA_OPTIONS", "CLASSPATH"]
_JAVA_FLAGS = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Dfile.encoding=UTF-8", "-Duser.language=en"]

def _java(ctx: AnalysisContext, version: str, locked: Table, tree: Artifact, runtime: struct) -> Artifact:
    """Returns the launcher of a plugin that a locked Java runs."""
    windows = ctx.attrs.platform.startswith("windows-")
    major = locked["runtime"].partition("@")[2].partition(".")[0]
    flags = _JAVA_FLAGS + (["--sun-misc-unsafe-memory-access=allow"] if major.isdigit() and int(major) >= 24 else [])
    platform = cell_of(locked, ctx.attrs.platform).platform
    jars = [tree.project(jar) for jar in jars_of(locked, platform) if jar]
    return _launcher(
        ctx,
        version,
        locked["program"],
        _JAVA_VARIABLES,
        [cmd_args(_word(ctx, runtime.binary), hidden = runtime.tree)] + flags +
        ["-cp", cmd_args(cmd_args(jars, delimiter = ";" if windows else ":"), format = '"{}"'), locked["main"] if windows else "'" + locked["main"] + "'"],
    )

def _python(ctx: AnalysisContext, version: str, locked: Table, tree: Artifact, runtime: struct | None) -> Artifact:
    """Returns the launcher of a plugin that Python runs: the locked one, or that of the machine."""
    python = ctx.attrs.python or ("python" if ctx.attrs.platform.startswith("windows-") else "python3")
    if runtime:
        python = cmd_args(_word(ctx, runtime.binary), hidden = runtime.tree)
    return _launcher(
        ctx,
        version,
        locked["program"],
        [],
        # As `fetch` starts it, see internal/install.
        [python, "-I", "-S", "-B", "-X", "utf8", _word(ctx, ctx.attrs._python_main), _word(ctx, tree)] +
        [",".join(locked["python"]), locked["program"], locked["entry"], locked.get("generator") or '""'],
    )

def _word(ctx: AnalysisContext, artifact: Artifact) -> cmd_args:
    """Returns the path of an artifact as one word of a command line."""
    return cmd_args(artifact, format = '"{}"' if ctx.attrs.platform.startswith("windows-") else "{}")

def _version(ctx: AnalysisContext, version: str, locked: Table) -> struct:
    """Declares one version, and returns it in the form of ProtobufPluginInfo."""
    runtime = _needed(ctx, locked.get("runtime"))
    entry = {"locked": locked, "name": ctx.attrs.plugin, "runtime": runtime and runtime.entry, "version": version}

    # `fetch` installs the compiler itself, on the machine where it runs, and only needs
    # its entry.
    toolchain = _needed(ctx, locked.get("toolchain"))
    if toolchain:
        entry["toolchain"] = toolchain.entry
    tree = _tree(ctx, version, locked, entry)

    # The file needs a name even if the platform has no cell. It is never created:
    # whoever needs it gets the error of `fetch`.
    binary = tree.project(cell_of(locked, ctx.attrs.platform).binary or "unavailable")
    include = tree.project(locked["include"]) if locked.get("include") else None
    program = binary
    if locked.get("python"):
        program = _python(ctx, version, locked, tree, runtime)
    elif runtime and locked["source"] == "maven":
        program = _java(ctx, version, locked, tree, runtime)
    elif runtime:
        program = _node(ctx, version, runtime.binary, binary)
    return struct(
        binary = binary,
        entry = entry,
        executable = cmd_args(program, hidden = include or tree),
        include = include,
        option_name = option_name(locked, ctx.attrs.plugin),
        tree = tree,
    )

def _protobuf_plugin_impl(ctx: AnalysisContext) -> list[Provider]:
    versions = {version: _version(ctx, version, locked) for version, locked in ctx.attrs.versions.items()}
    return [
        # No output and no RunInfo: `buck2 build //...` would build them, and download
        # unused plugins.
        DefaultInfo(
            sub_targets = {
                version: [DefaultInfo(default_output = v.tree), RunInfo(args = v.executable)]
                for version, v in versions.items()
            },
        ),
        ProtobufPluginInfo(name = ctx.attrs.plugin, platform = ctx.attrs.platform, versions = versions),
    ]

protobuf_plugin = rule(
    impl = _protobuf_plugin_impl,
    doc = "One plugin of a lock in all its versions; created by `protobuf_plugins`.",
    attrs = fetch_attrs() | {
        "needs": attrs.list(attrs.dep(providers = [ProtobufPluginInfo]), default = [], doc = "The plugins that run or compile a version of this one, such as node and go."),
        "plugin": attrs.string(doc = "The plugin's name in the lock."),
        "python": attrs.string(default = "", doc = "Command for Python on the machines that generate code, where the lock has none; empty for `python3`, or `python` on Windows."),
        "versions": attrs.dict(attrs.string(), attrs.any(), doc = "The lock's tables by version."),
        "_python_main": attrs.default_only(attrs.source(default = "//:python_main")),
    },
)

def _fetch_release_impl(ctx: AnalysisContext) -> list[Provider]:
    out = ctx.actions.declare_output(ctx.attrs.out, has_content_based_path = True)
    ctx.actions.download_file(out, ctx.attrs.url, sha256 = ctx.attrs.sha256, size_bytes = ctx.attrs.size, is_executable = True)
    return [DefaultInfo(default_output = out), RunInfo(args = cmd_args(out))]

_fetch_release = rule(
    impl = _fetch_release_impl,
    doc = "A released `fetch` for the machine on which Buck2 runs; created by `protobuf_plugins`.",
    attrs = {
        "out": attrs.string(doc = "Name of the file."),
        "sha256": attrs.string(doc = "Its digest in the lock."),
        "size": attrs.int(doc = "Its size in the lock, in bytes."),
        "url": attrs.string(doc = "Its URL, at the origin or at a mirror."),
    },
)

# Names of targets that Buck2's own rules expect in the package of the toolchains.
_TAKEN = ["csharp", "cxx", "erlang", "genrule", "go", "haskell", "java", "kotlin", "ocaml", "python", "rust", "swift"]

def _target_name(plugin: str) -> str:
    return plugin + "-plugin" if plugin in _TAKEN else plugin

def protobuf_plugins(
        lock: Table,
        registries: dict[str, str] = {},
        mirrors: list[dict[str, str]] = [],
        runtimes: dict[str, list[str]] = {},
        fits: dict[str, list[str]] = {},
        visibility: list[str] = ["PUBLIC"]) -> list[str]:
    """Declares one target for every plugin of a lock, with the plugin's name, and one for every proto package.

    A plugin with the name of a toolchain of Buck2's own rules, such as `go`, gets
    the target `go-plugin`, since both may be in one package. A target has all
    locked versions of its plugin, each of them also as a sub-target:
    `buck2 run toolchains//:protoc[36.2] -- --version`.

    ```python
    load("@root//:plugins.lock.toml", lock = "value")

    protobuf_toolchain(
        name = "protobuf",
        plugins = protobuf_plugins(lock = lock),
    )
    ```

    The buckconfig of the root cell configures how plugins are fetched, but never
    which ones: `[buck2_protobuf]` with `node_manager`, `wheel_manager`,
    `disable_package_managers` and `cache_dir`. Its `python` is the command that
    runs Python plugins, in a version that the lock allows.

    `[tool] fetch` of plugins.toml locks a release of `fetch`, which Buck2 downloads
    and checks with its hash, from the first of `mirrors` that has its URL over
    HTTP. It becomes the target `fetch`, and no Go is needed. If the lock has none
    for the machine on which Buck2 runs, `fetch` is built from source by the Go on
    PATH.

    A runtime of the lock is a library of Buck2's own rules, with all that it needs:
    `toolchains//:python-runtime-grpcio`. `python-runtimes` has all of them that
    messages may need, `python-runtimes-for-grpcio-tools` those of services; a
    library of Python depends on both by itself, where `runtimes` of
    `[buck2_protobuf]` lists `python`.

    Args:
        lock: The value of a plugins.lock.toml.
        registries: URL by ecosystem (`npm`, `pip`, `cargo`, `go`, `maven`), to replace the
            one in the configuration of the user's package manager.
        mirrors: Where to download from before the origin: the value of `mirror` in
            plugins.toml, which can be loaded like the lock. A folder
            (`oci-layout:DIR`) is relative to the root of the project.
        runtimes: Labels of your own libraries that replace all runtimes of a language:
            `{"python": ["root//third-party:protobuf"]}`.
        fits: For which versions of plugins these are, where they do not run the code of
            all: `{"cpp": ["protoc@36.2"]}`. The code of another version is an error.
        visibility: Who may use the targets.

    Returns:
        The labels of the targets, for `protobuf_toolchain`. It fails if the lock is
        malformed, or has a schema that these rules do not read.
    """
    plugins = plugins_of(lock)
    fetch = prebuilt_fetch(plugins.get("fetch"), host_platform(), mirrors)
    how = {}
    if fetch:
        _fetch_release(name = "fetch", visibility = visibility, exec_compatible_with = host_constraints(), **fetch)
        how["fetch"] = ":fetch"
    how |= {key: read_root_config("buck2_protobuf", key, "") for key in ["cache_dir", "node_manager", "wheel_manager"]} | {
        "disable_package_managers": read_root_config("buck2_protobuf", "disable_package_managers", "").lower() in ["1", "true", "yes"],
        "exec_compatible_with": host_constraints(),
        "mirrors": mirrors,
        "platform": platform_select(),
        "registries": registries,
    }
    plugins = {name: versions for name, versions in plugins.items() if name != "fetch"}
    for name, versions in plugins.items():
        needs = {
            v[key].partition("@")[0]: True
            for v in versions.values()
            for key in ["runtime", "toolchain"]
            if v.get(key)
        }
        protobuf_plugin(
            name = _target_name(name),
            needs = [":" + _target_name(need) for need in needs],
            plugin = name,
            python = read_root_config("buck2_protobuf", "python", ""),
            versions = versions,
            visibility = visibility,
            **how
        )
    return [":" + _target_name(name) for name in plugins] + declare_runtimes(lock, runtimes, fits, visibility, how)
