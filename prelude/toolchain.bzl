"""protobuf_toolchain: protoc and the plugins, in one place.

Every repository has one target of this rule, `toolchains//:protobuf`, with the
plugins that its libraries may use and their defaults.
"""

load(":lock.bzl", "PROTOS", "RUNTIMES", "pick")
load(":providers.bzl", "ProtobufPluginInfo", "ProtobufToolchainInfo")

def _protobuf_toolchain_impl(ctx: AnalysisContext) -> list[Provider]:
    infos = {dep[ProtobufPluginInfo].name: dep[ProtobufPluginInfo] for dep in ctx.attrs.plugins}
    plugins = {name: info.versions for name, info in infos.items() if not name.startswith(PROTOS) and not name.startswith(RUNTIMES)}
    runtimes = {}
    for name, info in infos.items():
        if name.startswith(RUNTIMES):
            language, _, library = name.removeprefix(RUNTIMES).partition("/")
            runtimes.setdefault(language, {})[library] = info.versions.values()[0]
    name = ctx.attrs.protoc
    version = pick(plugins, name, ctx.attrs.protoc_version)
    return [
        DefaultInfo(),
        ProtobufToolchainInfo(
            defaults = ctx.attrs.defaults,
            packages = {name.removeprefix(PROTOS): info.versions for name, info in infos.items() if name.startswith(PROTOS)},
            platform = infos[name].platform,
            plugins = plugins,
            protoc = plugins[name][version],
            protoc_name = name,
            protoc_version = version,
            runtimes = runtimes,
            windows = infos[name].platform.startswith("windows-"),
        ),
    ]

protobuf_toolchain = rule(
    impl = _protobuf_toolchain_impl,
    is_toolchain_rule = True,
    doc = """protoc and the plugins that the libraries of a repository may use.

    Create it once, as `toolchains//:protobuf`:

    ```python
    load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins", "protobuf_toolchain")
    load("@root//:plugins.lock.toml", lock = "value")

    protobuf_toolchain(
        name = "protobuf",
        plugins = protobuf_plugins(lock = lock),
        visibility = ["PUBLIC"],
    )
    ```

    It is an error if `protoc` or `protoc_version` is not among the plugins.
    """,
    attrs = {
        "defaults": attrs.dict(attrs.string(), attrs.string(), default = {}, doc = "Plugin by language for libraries that name none, such as `{\"typescript\": \"ts-proto\"}`; every language has its own default."),
        "plugins": attrs.list(attrs.exec_dep(providers = [ProtobufPluginInfo]), doc = "Targets created by `protobuf_plugins`, including protoc's."),
        "protoc": attrs.string(default = "protoc", doc = "Name of protoc among the plugins."),
        "protoc_version": attrs.option(attrs.string(), default = None, doc = "Version of protoc; the default is the only or newest one in the lock."),
    },
)
