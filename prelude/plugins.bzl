"""protobuf_plugins: one target for every plugin of a lock.

Loading and analysing declare downloads and start none. A version is fetched
when a build needs it, for the platform on which protoc will run: http files by
Buck2 itself, everything else by `fetch`, which also makes the folder of both
and holds it against the lock. Both run on this machine, whatever machine the
code is generated on.
"""

load(":lock.bzl", "cell_of", "direct_url", "files_of", "option_name", "plugins_of")
load(":platforms.bzl", "host_constraints", "platform_select")
load(":providers.bzl", "ProtobufPluginInfo")

def _needed(ctx: AnalysisContext, wanted: str | None) -> typing.Any:
    """Returns the version struct of what runs or compiles a plugin, or None."""
    if not wanted:
        return None
    name, _, version = wanted.partition("@")
    for dep in ctx.attrs.needs:
        info = dep[ProtobufPluginInfo]
        if info.name == name:
            return info.versions[version]
    fail("{}: {} is not among its needs".format(ctx.label, wanted))

def _entry(name: str, version: str, locked: dict[str, typing.Any], runtime: typing.Any, toolchain: typing.Any) -> dict[str, typing.Any]:
    """Returns an entry as `fetch install --entry` reads it."""
    entry = {"locked": locked, "name": name, "runtime": runtime and runtime.entry, "version": version}
    if toolchain:
        entry["toolchain"] = toolchain.entry
    return entry

def _fetch_error(ctx: ActionErrorCtx) -> list[ActionSubError]:
    """Turns the last words of `fetch` into an error with a remedy."""
    message, hint = None, None
    for line in ctx.stderr.splitlines():
        if line.startswith("fetch: error: "):
            message = line.removeprefix("fetch: error: ")
        elif line.startswith("fetch: hint: "):
            hint = line.removeprefix("fetch: hint: ")
    if message == None:
        return []
    return [ctx.new_sub_error(category = "fetch_plugin", message = message, remediation = hint, show_in_stderr = True)]

def _mirrored(mirrors: list[dict[str, str]], url: str) -> bool:
    """Says whether a mirror may have what is at a URL."""
    return bool([m for m in mirrors if m["from"] == "*" or url.startswith(m["from"])])

def _tree(ctx: AnalysisContext, version: str, locked: dict[str, typing.Any], contents: dict[str, typing.Any]) -> Artifact:
    """Declares the download and the folder of one version."""
    platform = ctx.attrs.platform
    tree = ctx.actions.declare_output(version + "/tree", dir = True, has_content_based_path = True)
    entry = ctx.actions.write_json(
        version + "/entry.json",
        contents,
        has_content_based_path = True,
    )
    cmd = cmd_args(ctx.attrs._fetch[RunInfo], "install", "--entry", entry, "--platform", platform, "--out", tree.as_output())
    cell = cell_of(locked, platform)
    if locked["source"] == "http" and cell.unavailable == None:
        for key, file in files_of(locked, cell.platform).items():
            url = direct_url(file)
            if url == None or _mirrored(ctx.attrs.mirrors, url):
                continue  # `fetch` brings it
            download = ctx.actions.declare_output("{}/files/{}".format(version, key), has_content_based_path = True)
            ctx.actions.download_file(download, url, sha256 = file["sha256"], size_bytes = file["size"])
            cmd.add("--file", cmd_args(key, download, delimiter = "="))
    if ctx.attrs.registries:
        cmd.add("--registries", ctx.actions.write_json(version + "/registries.json", ctx.attrs.registries, has_content_based_path = True))
    if ctx.attrs.mirrors:
        cmd.add("--mirrors", ctx.actions.write_json(version + "/mirrors.json", ctx.attrs.mirrors, has_content_based_path = True))
    if ctx.attrs.disable_package_managers:
        cmd.add("--disable-package-managers")
    if ctx.attrs.node_manager:
        cmd.add("--node-manager", ctx.attrs.node_manager)
    if ctx.attrs.wheel_manager:
        cmd.add("--wheel-manager", ctx.attrs.wheel_manager)
    if ctx.attrs.cache_dir:
        cmd.add("--cache-dir", ctx.attrs.cache_dir)
    ctx.actions.run(
        cmd,
        category = "fetch_plugin",
        identifier = version,
        # A folder that was made once comes from the remote cache ever after.
        allow_cache_upload = True,
        error_handler = _fetch_error,
        local_only = True,
    )
    return tree

def _launcher(ctx: AnalysisContext, version: str, name: str, unset: list[str], argv: list[typing.Any]) -> typing.Any:
    """Writes the one file that protoc can start, as `--plugin` wants it.

    Args:
        ctx: of the plugin.
        version: of the plugin.
        name: of the file.
        unset: variables of the person who builds, which must not change what a
            runtime does.
        argv: words of a command line.
    """
    if ctx.attrs.platform.startswith("windows-"):
        name += ".cmd"
        script = ["@echo off"] + ["set {}=".format(v) for v in unset] + [cmd_args(argv, "%*", delimiter = " ")]
    else:
        script = ["#!/bin/sh"] + (["unset " + " ".join(unset)] if unset else []) + [cmd_args("exec", argv, '"$@"', delimiter = " ")]
    launcher = ctx.actions.declare_output("{}/{}".format(version, name), has_content_based_path = True)
    return ctx.actions.write(launcher, script, is_executable = True, with_inputs = True)

def _node(ctx: AnalysisContext, version: str, runtime: Artifact, main: Artifact) -> typing.Any:
    """Returns the launcher of a plugin that a locked one runs."""
    return _launcher(ctx, version, ctx.attrs.plugin, ["NODE_OPTIONS", "NODE_PATH"], [_word(ctx, runtime), _word(ctx, main)])

def _python(ctx: AnalysisContext, version: str, locked: dict[str, typing.Any], tree: Artifact) -> typing.Any:
    """Returns the launcher of a plugin that the Python of the machine runs."""
    python = ctx.attrs.python or ("python" if ctx.attrs.platform.startswith("windows-") else "python3")
    return _launcher(ctx, version, locked["program"], [], [
        # As fetch does, see internal/install.
        [python, "-I", "-S", "-B", "-X", "utf8"],
        [_word(ctx, ctx.attrs._python_main), _word(ctx, tree)],
        [",".join(locked["python"]), locked["program"], locked["entry"], locked.get("generator") or '""'],
    ])

def _word(ctx: AnalysisContext, artifact: Artifact) -> cmd_args:
    return cmd_args(artifact, format = '"{}"' if ctx.attrs.platform.startswith("windows-") else "{}")

def _version(ctx: AnalysisContext, version: str, locked: dict[str, typing.Any]) -> struct:
    runtime = _needed(ctx, locked.get("runtime"))

    # What compiles is installed by `fetch` itself, on the machine that it runs
    # on: its entry is all that is needed here.
    toolchain = _needed(ctx, locked.get("toolchain"))
    entry = _entry(ctx.attrs.plugin, version, locked, runtime, toolchain)
    tree = _tree(ctx, version, locked, entry)

    # The cell of a platform that has none still needs a name for the file that
    # never comes into being: what asks for it gets the error of `fetch`.
    binary = tree.project(cell_of(locked, ctx.attrs.platform).binary or "unavailable")
    include = tree.project(locked["include"]) if locked.get("include") else None
    program = binary
    if runtime:
        program = _node(ctx, version, runtime.binary, binary)
    elif locked.get("python"):
        program = _python(ctx, version, locked, tree)
    return struct(
        binary = binary,
        entry = entry,
        executable = cmd_args(program, hidden = include or tree),
        include = include,
        locked = locked,
        option_name = option_name(locked),
        tree = tree,
    )

def _protobuf_plugin_impl(ctx: AnalysisContext) -> list[Provider]:
    versions = {version: _version(ctx, version, locked) for version, locked in ctx.attrs.versions.items()}
    return [
        # Neither an output nor a RunInfo of its own: `buck2 build //...` builds
        # both, and shall fetch nothing that nobody uses.
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
    doc = "One plugin of a lock in all its versions; made by `protobuf_plugins`.",
    attrs = {
        "cache_dir": attrs.string(default = "", doc = "Folder of `fetch`'s cache, or empty for its own choice."),
        "disable_package_managers": attrs.bool(default = False, doc = "Run no package manager: our own unpacker makes the folder, and what is compiled comes ready from a mirror."),
        "needs": attrs.list(attrs.dep(providers = [ProtobufPluginInfo]), default = [], doc = "The plugins that run or compile a version of this one, such as node and go."),
        "mirrors": attrs.list(attrs.dict(attrs.string(), attrs.string()), default = [], doc = "Where bytes are looked for before their origin is asked, in order: `from` and `to` as [[mirror]] of plugins.toml has them."),
        "node_manager": attrs.string(default = "", doc = "Package manager that installs npm plugins, `none` for our own unpacker, or empty for `fetch`'s choice."),
        "platform": attrs.string(doc = "The lock's name of the configured platform."),
        "plugin": attrs.string(doc = "The plugin's name in the lock."),
        "python": attrs.string(default = "", doc = "Command that starts the Python of the machines that generate code; empty for `python3`, on Windows `python`."),
        "registries": attrs.dict(attrs.string(), attrs.string(), default = {}, doc = "URL of the registry of an ecosystem, where the package manager's own configuration shall not decide."),
        "versions": attrs.dict(attrs.string(), attrs.any(), doc = "The lock's tables by version."),
        "wheel_manager": attrs.string(default = "", doc = "Package manager that installs pip plugins, or empty for our own unpacker."),
        "_fetch": attrs.default_only(attrs.exec_dep(default = "//:fetch", providers = [RunInfo])),
        "_python_main": attrs.default_only(attrs.source(default = "//:python_main")),
    },
)

# Names that Buck2's own rules look for in the package of the toolchains.
_TAKEN = ["csharp", "cxx", "erlang", "genrule", "go", "haskell", "java", "kotlin", "ocaml", "python", "rust", "swift"]

def _target_name(plugin: str) -> str:
    return plugin + "-plugin" if plugin in _TAKEN else plugin

def protobuf_plugins(
        lock: dict[str, typing.Any],
        registries: dict[str, str] = {},
        mirrors: list[dict[str, str]] = [],
        visibility: list[str] = ["PUBLIC"]) -> list[str]:
    """Declares one target for every plugin of a lock, under the plugin's name.

    A plugin that is called like a toolchain of Buck2's own rules, such as `go`,
    gets `go-plugin`, for both may stand in one package. A target holds all locked versions of its plugin, each of them also as a
    sub-target: `buck2 run toolchains//:protoc[30.2] -- --version`.

        load("@root//:plugins.lock.toml", lock = "value")

        protobuf_toolchain(
            name = "protobuf",
            plugins = protobuf_plugins(lock = lock),
        )

    The buckconfig of the root cell says how plugins are fetched, never which:
    `[buck2_protobuf]` with `node_manager`, `wheel_manager`,
    `disable_package_managers` and `cache_dir`; and with `python` by which command the plugins of Python run,
    for which the lock names the versions that do.

    Args:
        lock: the value of a plugins.lock.toml.
        registries: URL by ecosystem (`npm`, `pip`, `cargo`, `go`), where the configuration of
            the user's own package manager shall not decide.
        mirrors: where bytes are looked for before their origin is asked: the value
            of `mirror` in plugins.toml, which `load` reads like the lock. A folder
            (`oci-layout:DIR`) is one below the root of the project.
        visibility: who may use the targets.

    Returns:
        The labels of the targets, for `protobuf_toolchain`.
    """
    plugins = plugins_of(lock)
    disabled = read_root_config("buck2_protobuf", "disable_package_managers", "").lower() in ["1", "true", "yes"]
    for name, versions in plugins.items():
        needs = {
            v[key].partition("@")[0]: True
            for v in versions.values()
            for key in ["runtime", "toolchain"]
            if v.get(key)
        }
        protobuf_plugin(
            name = _target_name(name),
            cache_dir = read_root_config("buck2_protobuf", "cache_dir", ""),
            disable_package_managers = disabled,
            mirrors = mirrors,
            needs = [":" + _target_name(need) for need in needs],
            node_manager = read_root_config("buck2_protobuf", "node_manager", ""),
            platform = platform_select(),
            python = read_root_config("buck2_protobuf", "python", ""),
            plugin = name,
            registries = registries,
            versions = versions,
            visibility = visibility,
            wheel_manager = read_root_config("buck2_protobuf", "wheel_manager", ""),
            exec_compatible_with = host_constraints(),
        )
    return [":" + _target_name(name) for name in plugins]
