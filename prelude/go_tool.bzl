"""Builds a Go program that runs on this machine.

The prelude's go_bootstrap_binary would do, but its action may be sent to a
remote executor, which has no Go, and it asks every repository for two more
toolchains. This one needs `go` on the PATH of the shell that starts Buck2.
"""

load(":platforms.bzl", "host_constraints")

def _go_platform() -> (str, str):
    """Returns Go's names of this machine; empty ones leave the choice to Go."""
    host = host_info()
    goos = "linux" if host.os.is_linux else "darwin" if host.os.is_macos else "windows" if host.os.is_windows else ""
    goarch = "amd64" if host.arch.is_x86_64 else "arm64" if host.arch.is_aarch64 else ""
    return goos, goarch

def _go_tool_impl(ctx: AnalysisContext) -> list[Provider]:
    goos, goarch = _go_platform()
    suffix = ".exe" if goos == "windows" else ""
    out = ctx.actions.declare_output(ctx.label.name + suffix, has_content_based_path = True)

    # Copies, for go:embed refuses symlinks.
    srcs = ctx.actions.copied_dir(
        "__srcs__",
        {src.short_path: src for src in ctx.attrs.srcs},
        has_content_based_path = True,
    )
    ctx.actions.run(
        cmd_args(
            "go",
            "build",
            cmd_args(srcs, format = "-C={}"),
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags=-s -w -buildid=",
            "-o",
            cmd_args(out.as_output(), relative_to = srcs),
            ctx.attrs.package,
        ),
        category = "go_build",
        # Whatever Go built it, it is the same program: who has a remote cache
        # builds it once for each kind of machine.
        allow_cache_upload = True,
        env = {"CGO_ENABLED": "0", "GOARCH": goarch, "GOFLAGS": "", "GOOS": goos, "GOWORK": "off"},
        local_only = True,
    )
    return [DefaultInfo(default_output = out), RunInfo(args = cmd_args(out))]

_go_tool = rule(
    impl = _go_tool_impl,
    doc = "A Go program built with the machine's own Go, for the machine.",
    attrs = {
        "package": attrs.string(doc = "Main package, relative to the folder of the BUCK file: `./fetch`."),
        "srcs": attrs.list(attrs.source(), doc = "Every file of the module that the build reads, go.mod and go.sum among them."),
    },
)

def go_tool(name: str, package: str, srcs: list[str], visibility: list[str] = []) -> None:
    """Declares a Go program that Buck2 actions run on this machine.

    Args:
        name: name of the target.
        package: main package, relative to the folder of the BUCK file, such as `./fetch`.
        srcs: every file of the module that the build reads, go.mod and go.sum among them.
        visibility: who may use it.
    """
    _go_tool(
        name = name,
        package = package,
        srcs = srcs,
        visibility = visibility,
        exec_compatible_with = host_constraints(),
    )
