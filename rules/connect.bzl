"""Connect services, in Go and TypeScript together.

```python
load("@buck2-protobuf//rules:connect.bzl", "connect_proto_library")

connect_proto_library(
    name = "api_connect",
    srcs = ["api.proto"],
)
```
"""

load("//prelude:library.bzl", "Attributes")
load("//prelude:proto_library.bzl", "proto_library")
load(":go.bzl", "go_proto_library")
load(":typescript.bzl", "typescript_proto_library")

def _both_impl(ctx: AnalysisContext) -> list[Provider]:
    deps = {"go": ctx.attrs.go, "typescript": ctx.attrs.typescript}
    return [DefaultInfo(
        default_outputs = [out for dep in deps.values() for out in dep[DefaultInfo].default_outputs],
        sub_targets = {name: dep.providers for name, dep in deps.items()},
    )]

_both = rule(
    impl = _both_impl,
    doc = "A service's code in two languages.",
    attrs = {
        "go": attrs.dep(doc = "The Go, which is the sub-target `[go]`."),
        "typescript": attrs.dep(doc = "The TypeScript, which is the sub-target `[typescript]`."),
    },
)

def connect_proto_library(
        name: str,
        srcs: list[str] = [],
        deps: list[str] = [],
        proto: str | None = None,
        go: Attributes = {},
        typescript: Attributes = {},
        visibility: list[str] = []) -> None:
    """Both ends of a Connect service, generated from the same files.

    protoc-gen-go and protoc-gen-connect-go generate messages and servers in Go;
    protoc-gen-es 2.x, which needs no other plugin for services, generates
    messages and clients in TypeScript.

    Args:
        name: Name of the target. Its sub-targets `[go]` and `[typescript]` are also
            the targets NAME-go and NAME-ts.
        srcs: The .proto files.
        deps: Libraries whose files `srcs` import.
        proto: A proto_library, in place of `srcs` and `deps`; it is an error to set
            both.
        go: Additional attributes of `go_proto_library`.
        typescript: Additional attributes of `typescript_proto_library`.
        visibility: Who may depend on the targets.
    """
    if proto == None:
        proto = ":{}-proto".format(name)
        proto_library(name = name + "-proto", srcs = srcs, deps = deps, visibility = visibility)
    elif srcs or deps:
        fail("connect_proto_library {}: `proto` has its own sources and dependencies; leave out `srcs` and `deps`".format(name))
    go_proto_library(**({"connect": True, "name": name + "-go", "proto": proto, "visibility": visibility} | go))
    typescript_proto_library(**({"name": name + "-ts", "plugin": "protoc-gen-es", "proto": proto, "visibility": visibility} | typescript))
    _both(
        name = name,
        go = ":{}-go".format(name),
        typescript = ":{}-ts".format(name),
        visibility = visibility,
    )
