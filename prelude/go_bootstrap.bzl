"""A toolchain for the tools that Buck2's rules for Go compile first.

system_go_bootstrap_toolchain of Buck2's prelude gives each of the five an empty build
cache, so that each compiles the standard library again. Here they share that of the
machine. [examples/grpc/toolchains/BUCK](../examples/grpc/toolchains/BUCK) has it.
"""

load("@prelude//go_bootstrap:go_bootstrap.bzl", "GoBootstrapToolchainInfo")

# The words of go_wrapper in Buck2's prelude: /usr/bin/env go [--workdir DIR] ARGS…
_RUN = 'shift 2; if [ "$1" = --workdir ]; then cd "$2"; shift 2; fi; exec go "$@"'

def _impl(_ctx: AnalysisContext) -> list[Provider]:
    host = host_info()
    return [
        DefaultInfo(),
        GoBootstrapToolchainInfo(
            env_go_arch = "arm64" if host.arch.is_aarch64 else "amd64",
            env_go_os = "darwin" if host.os.is_macos else "linux",
            go = RunInfo(args = ["/usr/bin/env", "go"]),  # a folder of the project may be called go
            go_wrapper = RunInfo(args = ["/bin/sh", "-c", _RUN, "go"]),
        ),
    ]

go_bootstrap_toolchain = rule(
    impl = _impl,
    is_toolchain_rule = True,
    attrs = {},
)
