"""A toolchain of Java for the JDK on PATH.

The prelude's own ones take the tools that pack a jar, and strip times from one, as jars
from a release of Buck2. Here the JDK's jar packs, and nothing strips.
"""

load("@prelude//java:java_toolchain.bzl", "AbiGenerationMode", "JavaPlatformInfo", "JavaToolchainInfo")

def _impl(ctx: AnalysisContext) -> list[Provider]:
    return [
        DefaultInfo(),
        JavaPlatformInfo(name = ctx.label.name),
        JavaToolchainInfo(
            abi_generation_mode = AbiGenerationMode("none"),
            compile_and_package = ctx.attrs._compile_and_package,
            fat_jar = ctx.attrs._fat_jar,
            gen_class_to_source_map = ctx.attrs._gen_class_to_source_map,
            gen_class_to_source_map_include_sourceless_compiled_packages = [],
            global_code_config = {},
            is_bootstrap_toolchain = True,
            jar_builder = RunInfo(args = cmd_args("/bin/sh", ctx.attrs.jar_builder)),
            java = ctx.attrs.java,
            javac = "javac",
            javac_protocol = "classic",
            merge_class_to_source_maps = ctx.attrs._merge_class_to_source_maps,
            source_level = "11",
            target_level = "11",
            track_class_usage = False,
            zip_scrubber = RunInfo(args = ["true"]),
        ),
    ]

jdk_toolchain = rule(
    impl = _impl,
    is_toolchain_rule = True,
    attrs = {
        "_" + tool: attrs.default_only(attrs.exec_dep(default = "prelude//java/tools:" + tool))
        for tool in ["compile_and_package", "fat_jar", "gen_class_to_source_map", "merge_class_to_source_maps"]
    } | {
        "jar_builder": attrs.source(),
        "java": attrs.exec_dep(providers = [RunInfo]),
    },
)
