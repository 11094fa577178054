"""Runs `fetch`, which installs what is locked.

It runs on the machine on which Buck2 runs, wherever code is generated or compiled, when a
build needs its output.
"""

# A table of the lock as parsed from TOML: `fetch` checks the types of its values.
Table = dict[str, typing.Any]

def fetch_attrs() -> dict[str, Attr]:
    """Returns the attributes that `run_fetch` reads."""
    return {
        "cache_dir": attrs.string(default = "", doc = "Folder of `fetch`'s cache, or empty for its default."),
        "disable_package_managers": attrs.bool(default = False, doc = "Run no package manager: `fetch` unpacks the files itself, and compiled plugins come from a mirror."),
        "fetch": attrs.exec_dep(default = "//:fetch", providers = [RunInfo], doc = "The program that installs what is locked: the locked release, or else built from source."),
        "mirrors": attrs.list(attrs.dict(attrs.string(), attrs.string()), default = [], doc = "Where to download from before the origin, in order: `from` and `to` as in [[mirror]] of plugins.toml."),
        "node_manager": attrs.string(default = "", doc = "Package manager that installs npm plugins, `none` to unpack them without one, or empty for `fetch`'s default."),
        "platform": attrs.string(doc = "The lock's name of the configured platform."),
        "registries": attrs.dict(attrs.string(), attrs.string(), default = {}, doc = "URL of the registry by ecosystem, to replace the one in the package manager's configuration."),
        "wheel_manager": attrs.string(default = "", doc = "Package manager that installs pip plugins, or empty to unpack them without one."),
    }

def run_fetch(ctx: AnalysisContext, folder: str, entry: Table, out: Artifact, *args) -> None:
    """Declares a run of `fetch install`.

    Args:
        ctx: of a rule with `fetch_attrs`.
        folder: name of the folder for its input files.
        entry: what to install, as `fetch install --entry` reads it.
        out: the output.
        *args: additional arguments.
    """

    def written(name: str, value: Table | list[dict[str, str]]) -> Artifact:
        return ctx.actions.write_json("{}/{}.json".format(folder, name), value, has_content_based_path = True)

    cmd = cmd_args(ctx.attrs.fetch[RunInfo], "install", "--entry", written("entry", entry), "--platform", ctx.attrs.platform, "--out", out.as_output(), list(args))
    if ctx.attrs.registries:
        cmd.add("--registries", written("registries", ctx.attrs.registries))
    if ctx.attrs.mirrors:
        cmd.add("--mirrors", written("mirrors", ctx.attrs.mirrors))
    if ctx.attrs.disable_package_managers:
        cmd.add("--disable-package-managers")
    for attr in ["node_manager", "wheel_manager", "cache_dir"]:
        value = getattr(ctx.attrs, attr)
        if value:
            cmd.add("--" + attr.replace("_", "-"), value)
    ctx.actions.run(
        cmd,
        category = "fetch_plugin",
        identifier = folder,
        # After the first build, the output comes from the remote cache.
        allow_cache_upload = True,
        error_handler = _fetch_error,
        local_only = True,
    )

def _fetch_error(ctx: ActionErrorCtx) -> list[ActionSubError]:
    """Converts the last message and hint of `fetch` to an error with a remediation."""
    message, hint = None, None
    for line in ctx.stderr.splitlines():
        if line.startswith("fetch: error: "):
            message = line.removeprefix("fetch: error: ")
        elif line.startswith("fetch: hint: "):
            hint = line.removeprefix("fetch: hint: ")
    if message == None:
        return []
    return [ctx.new_sub_error(category = "fetch_plugin", message = message, remediation = hint, show_in_stderr = True)]
