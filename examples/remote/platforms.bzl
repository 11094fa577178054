"""Execution platforms that share what was built, and that build elsewhere."""

def _remote_execution_platforms_impl(ctx: AnalysisContext) -> list[Provider]:
    constraints = dict(ctx.attrs.os[ConfigurationInfo].constraints)
    constraints.update(ctx.attrs.cpu[ConfigurationInfo].constraints)
    remote = ctx.attrs.execute
    platform = ExecutionPlatformInfo(
        label = ctx.label.raw_target(),
        configuration = ConfigurationInfo(constraints = constraints, values = {}),
        executor_config = CommandExecutorConfig(
            # What must run here, such as fetching a plugin, runs here.
            local_enabled = True,
            remote_enabled = remote,
            remote_cache_enabled = True,
            allow_cache_uploads = True,
            # Elsewhere if that is possible, and not twice to see who is faster.
            use_limited_hybrid = remote,
            remote_execution_properties = ctx.attrs.properties,
            remote_execution_use_case = "buck2-default",
        ),
    )
    return [
        DefaultInfo(),
        ExecutionPlatformRegistrationInfo(
            # The second one is this machine. It is used where it differs from
            # the workers and something must run here: a Mac that builds on
            # Linux workers fetches the plugins itself.
            platforms = [platform, ctx.attrs.host[ExecutionPlatformInfo]],
        ),
    ]

remote_execution_platforms = rule(
    impl = _remote_execution_platforms_impl,
    doc = """Execution platforms for `[build] execution_platforms`: workers, or this machine with a remote cache.

    Generating code needs protoc, the plugin and its runtime, which are inputs
    of the action; a worker brings /bin/sh and mkdir, a Windows worker cmd.exe.
    """,
    attrs = {
        "cpu": attrs.dep(providers = [ConfigurationInfo], doc = "Processor of the workers; without `execute`, of this machine."),
        "execute": attrs.bool(default = False, doc = "Run actions on workers. False shares results through the cache alone."),
        "host": attrs.dep(providers = [ExecutionPlatformInfo], default = "prelude//platforms:default", doc = "Execution platform of this machine."),
        "os": attrs.dep(providers = [ConfigurationInfo], doc = "Operating system of the workers; without `execute`, of this machine."),
        "properties": attrs.dict(attrs.string(), attrs.string(), default = {}, doc = "What a worker must have, as the service spells it."),
    },
)
