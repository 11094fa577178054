"""Checks of .proto files with buf, which must be in the lock as `buf`.

```python
load("@buck2-protobuf//rules:buf.bzl", "buf_breaking_test", "buf_lint_test")

buf_lint_test(
    name = "api_lint",
    proto = ":api_proto",
)

buf_breaking_test(
    name = "api_breaking",
    against = "api.binpb",
    proto = ":api_proto",
)
```

buf reads the descriptor sets that protoc makes, so it checks what is built.
"""

load("//prelude:library.bzl", "program_test")
load("//prelude:lock.bzl", "pick")
load("//prelude:proto_library.bzl", "LABELS", "declare_image", "proto_attrs")
load("//prelude:providers.bzl", "ProtoInfo", "ProtobufToolchainInfo")

def _attrs(check: str, default: str) -> dict[str, Attr]:
    return {
        "config": attrs.option(
            attrs.source(),
            default = None,
            doc = "A buf.yaml that replaces `use` and `skip`.",
        ),
        "labels": LABELS,
        "plugin": attrs.string(default = "buf", doc = "Name of buf in the lock."),
        "plugin_version": attrs.option(
            attrs.string(),
            default = None,
            doc = "Version of buf, which must be locked; the default is the only or newest one in the lock.",
        ),
        "proto": attrs.dep(providers = [ProtoInfo], doc = "The library whose files are checked."),
        "skip": attrs.list(attrs.string(), default = [], doc = "Rules and categories of rules to skip."),
        "use": attrs.list(attrs.string(), default = [default], doc = "Rules and categories of rules of `buf {}`.".format(check)),
        "_protobuf_toolchain": proto_attrs()["_protobuf_toolchain"],
    }

def _test(ctx: AnalysisContext, check: str, arguments: cmd_args) -> list[Provider]:
    """Returns the providers of a test that runs buf on one image."""
    toolchain = ctx.attrs._protobuf_toolchain[ProtobufToolchainInfo]
    version = pick(toolchain.plugins, ctx.attrs.plugin, ctx.attrs.plugin_version)
    info = ctx.attrs.proto[ProtoInfo]
    image = declare_image(ctx, ctx.label.name + ".binpb", info.paths, info.descriptors)
    config = ctx.attrs.config
    if config == None:
        config = ctx.actions.write_json(
            "buf.json",
            {check: {"except": ctx.attrs.skip, "use": ctx.attrs.use}, "version": "v2"},
            has_content_based_path = True,
        )
    command = cmd_args(
        toolchain.plugins[ctx.attrs.plugin][version].executable,
        check,
        image,
        "--config",
        config,
        arguments,
    )
    return program_test(ctx, image, command)

def _buf_lint_test_impl(ctx: AnalysisContext) -> list[Provider]:
    # The image also has imported files, which other targets lint.
    return _test(ctx, "lint", cmd_args([["--path", path] for path in ctx.attrs.proto[ProtoInfo].paths]))

buf_lint_test = rule(
    impl = _buf_lint_test_impl,
    doc = """Fails if the files of a library violate rules of `buf lint`.

    ```python
    buf_lint_test(
        name = "api_lint",
        proto = ":api_proto",
        skip = ["PACKAGE_VERSION_SUFFIX"],
    )
    ```

    Messages name files by their import paths. `buck2 run` shows them, too.
    """,
    attrs = _attrs("lint", "STANDARD"),
)

def _buf_breaking_test_impl(ctx: AnalysisContext) -> list[Provider]:
    return _test(ctx, "breaking", cmd_args("--against", cmd_args(ctx.attrs.against, format = "{}#format=binpb")))

buf_breaking_test = rule(
    impl = _buf_breaking_test_impl,
    doc = """Fails if a library is not compatible with an earlier state of it.

    ```python
    buf_breaking_test(
        name = "api_breaking",
        against = "api.binpb",
        proto = ":api_proto",
    )
    ```

    The earlier state is an image that was built from a proto_library at the time:

    ```sh
    buck2 build //api:api_proto[image] --out api/api.binpb
    ```

    An image includes imported files, and they are compared as well.
    """,
    attrs = _attrs("breaking", "FILE") | {
        "against": attrs.source(doc = "The image of the earlier files, or a target such as `:old_proto[image]`."),
    },
)
