"""Builds a Go program that runs on this machine.

It needs `go` on the PATH of the shell that starts Buck2. go_bootstrap_binary of the
prelude would need two more toolchains in every repository, and its action may run
on a remote executor without Go.
"""

load(":platforms.bzl", "host", "host_constraints")

def _go_tool_impl(ctx: AnalysisContext) -> list[Provider]:
    os, cpu = host()
    out = ctx.actions.declare_output(ctx.label.name + (".exe" if os == "windows" else ""), has_content_based_path = True)

    # Copies, because go:embed refuses symlinks.
    srcs = ctx.actions.copied_dir(
        "__srcs__",
        {src.short_path: src for src in ctx.attrs.srcs},
        has_content_based_path = True,
    )
    ctx.actions.run(
        cmd_args(
            # A folder called go in the root of the project would be taken for the program.
            "go.exe" if os == "windows" else ["/usr/bin/env", "go"],
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
        # The output does not depend on which Go builds it, so with a remote cache it is
        # built once for each kind of machine.
        allow_cache_upload = True,
        env = {
            "CGO_ENABLED": "0",
            "GOARCH": {"x86_64": "amd64"}.get(cpu, cpu),
            "GOFLAGS": "",
            "GOOS": {"macos": "darwin"}.get(os, os),
            "GOWORK": "off",
        },
        local_only = True,
    )
    return [DefaultInfo(default_output = out), RunInfo(args = cmd_args(out))]

_go_tool = rule(
    impl = _go_tool_impl,
    doc = "A Go program, built by the Go of this machine for this machine.",
    attrs = {
        "package": attrs.string(doc = "Main package, relative to the folder of the BUCK file: `./fetch`."),
        "srcs": attrs.list(attrs.source(), doc = "Every file of the module that the build reads, go.mod and go.sum among them."),
    },
)

def go_tool(name: str, package: str, srcs: list[str], visibility: list[str] = []) -> None:
    """Declares a Go program that actions run on this machine.

    Args:
        name: name of the target.
        package: main package, relative to the folder of the BUCK file, such as `./fetch`.
        srcs: every file of the module that the build reads, including go.mod and go.sum.
        visibility: who may use it.
    """
    _go_tool(
        name = name,
        package = package,
        srcs = srcs,
        visibility = visibility,
        exec_compatible_with = host_constraints(),
    )
