"""The runtimes of a lock: the libraries that generated code needs.

`protobuf_plugins` declares them for Buck2's own rules. A library is downloaded when a build
needs it, for the platform of the program.
"""

load("@prelude//go:compile.bzl", "GoPkgCompileInfo", "get_inherited_compile_pkgs")
load("@prelude//go:link.bzl", "GoPkgLinkInfo", "get_inherited_link_pkgs")
load("@prelude//linking:shared_libraries.bzl", "SharedLibraryInfo", "merge_shared_libraries")
load("@prelude//rust:cargo_buildscript.bzl", "buildscript_run")
load(":fetch.bzl", "Table", "fetch_attrs", "run_fetch")
load(":lock.bzl", "RUNTIMES", "crates_of", "libraries_of", "packages_of", "roots_of", "runtimes_of")
load(":platforms.bzl", "PLATFORMS", "platform_map", "platform_select")
load(":providers.bzl", "ProtobufPluginInfo")

def default_runtimes(language: str, extras: list[str] = []) -> list[str] | None:
    """Returns the runtimes of a library that names none.

    Args:
        language: the language of the library.
        extras: plugins that its attributes enable.

    Returns:
        Labels of the runtimes in the lock, or None if `runtimes` of `[buck2_protobuf]`
        in the buckconfig of the root cell does not list the language.
    """
    if language not in _listed():
        return None
    groups = [_group(language)] + [_group(language, extra) for extra in extras]

    # Of Rust each crate is a target of its own that uses it, which no other one can be.
    return [group + slot for group in groups for slot in (_SLOTS if language == "rust" else [""])]

def _listed() -> list[str]:
    return read_root_config("buck2_protobuf", "runtimes", "").replace(",", " ").split(" ")

# What a group of crates may have, and how its targets end.
_SLOTS = ["-{}".format(n + 1) for n in range(8)]

def _group(language: str, extra: str = "") -> str:
    return "toolchains//:{}-runtimes".format(language) + ("-for-" + extra if extra else "")

def _library_impl(ctx: AnalysisContext) -> list[Provider]:
    out = ctx.actions.declare_output(ctx.attrs.out, dir = bool(ctx.attrs.parts), has_content_based_path = True)

    # On a platform without the library, `fetch` says why.
    name = ctx.attrs.runtimes.get(ctx.attrs.platform) or ctx.attrs.runtimes.values()[0]
    run_fetch(ctx, ctx.attrs.library, ctx.attrs.entries[name], out, "--library", ctx.attrs.library)
    return [
        DefaultInfo(
            default_output = out,
            sub_targets = {
                part: [DefaultInfo(default_outputs = [out.project(file) for file in files])]
                for part, files in ctx.attrs.parts.items()
            },
        ),
    ]

_library = rule(
    impl = _library_impl,
    doc = "The file of a library in the runtimes of a language; created by `protobuf_plugins`.",
    attrs = fetch_attrs() | {
        "entries": attrs.dict(attrs.string(), attrs.dict(attrs.string(), attrs.any()), doc = "Input of `fetch`, by runtime."),
        "library": attrs.string(doc = "Name of the library."),
        "out": attrs.string(doc = "Name of the file, or of the folder."),
        "parts": attrs.dict(attrs.string(), attrs.list(attrs.string()), default = {}, doc = "Of a folder: its files by sub-target."),
        "runtimes": attrs.dict(attrs.string(), attrs.string(), doc = "The runtime with the library, by platform."),
    },
)

def _runtime_impl(ctx: AnalysisContext) -> list[Provider]:
    return [
        DefaultInfo(),
        ProtobufPluginInfo(
            name = ctx.attrs.runtime,
            platform = ctx.attrs.platform,
            versions = {version: struct(version = version, fits = fits) for version, fits in ctx.attrs.fits.items()},
        ),
    ]

_runtime = rule(
    impl = _runtime_impl,
    doc = "What the lock says about a runtime; created by `protobuf_plugins`.",
    attrs = {
        "fits": attrs.dict(attrs.string(), attrs.list(attrs.string()), doc = "The plugins whose code can use it, by its version."),
        "platform": attrs.string(doc = "The lock's name of the configured platform."),
        "runtime": attrs.string(doc = "Its name among the plugins."),
    },
)

def declare_runtimes(lock: Table, own: dict[str, list[str]], fits: dict[str, list[str]], visibility: list[str], how: dict[str, typing.Any]) -> list[str]:
    """Declares the targets of all runtimes of a lock. See `protobuf_plugins`.

    Args:
        lock: The value of a plugins.lock.toml.
        own: Labels of libraries that replace those in the lock, by language.
        fits: The plugins whose code these run, NAME@VERSION, by language.
        visibility: Who may use the targets.
        how: Values of `fetch_attrs`.

    Returns:
        Labels for the `plugins` of `protobuf_toolchain`.
    """
    labels = []

    # What the buckconfig lists has targets though nothing is locked: then the rules say
    # which library is missing.
    declared = {language: {} for language in _listed() if language in _RULES} | runtimes_of(lock, list(own), fits)
    for language in fits:
        if language not in own:
            fail("fits of protobuf_plugins is about libraries of your own, and runtimes names none for {}".format(language))
    for language, runtimes in declared.items():
        rules = _RULES.get(language)
        if rules == None:
            fail("plugins.lock.toml has runtimes of {}, and this buck2-protobuf has none: use a newer buck2-protobuf".format(language))
        if language in own:
            groups = {"": own[language]} | {extra: [] for extra in rules.extras}
        else:
            targets = rules.declare(language, rules, runtimes, visibility, how)
            groups = {"": []} | {extra: [] for extra in rules.extras}
            for name, target in targets.items():
                fits = [spec.partition("@")[0] for spec in runtimes[name].fits]
                group = groups[([extra for extra in rules.extras if extra in fits] + [""])[0]]
                for label in [target] if type(target) == "string" else target:
                    if label not in group:
                        group.append(label)
        for extra, deps in groups.items():
            rules.together(_group(language, extra).removeprefix("toolchains//:"), deps, visibility)
        for name, r in runtimes.items():
            target = "{}-runtime-{}-lock".format(language, "own" if name == "*" else name)
            _runtime(name = target, fits = {r.version: r.fits}, platform = platform_select(), runtime = "{}{}/{}".format(RUNTIMES, language, name))
            labels.append(":" + target)
    return labels

# Targets of Buck2's own rules.
Labels = list[str] | Select

def _python_together(name: str, deps: Labels, visibility: list[str]) -> None:
    native.python_library(name = name, deps = deps, visibility = visibility)

def _python_library(name: str, file: str) -> None:
    native.prebuilt_python_library(name = name, binary_src = file)

def _java_together(name: str, deps: Labels, visibility: list[str]) -> None:
    native.java_library(name = name, exported_deps = deps, visibility = visibility)

def _java_library(name: str, file: str) -> None:
    native.prebuilt_jar(name = name, binary_jar = file)

def _cpp_together(name: str, deps: Labels, visibility: list[str]) -> None:
    if deps:
        native.cxx_library(name = name, exported_deps = deps, visibility = visibility)
    else:
        _missing(
            name = name,
            message = "generated C++ needs libprotobuf and abseil of the release of protoc, which no registry has. Name your targets in toolchains/BUCK: " +
                      'protobuf_plugins(lock = lock, runtimes = {"cpp": ["root//third-party:protobuf"]}); or for one library: runtime = [...]',
            visibility = visibility,
        )

def _missing_impl(ctx: AnalysisContext) -> list[Provider]:
    fail(ctx.attrs.message)

_missing = rule(
    impl = _missing_impl,
    doc = "Libraries that only the user can name; created by `protobuf_plugins`.",
    attrs = {"message": attrs.string(doc = "What to write.")},
)

def _typescript_together(name: str, deps: Labels, visibility: list[str]) -> None:
    if len(deps) > 1:
        fail("runtimes of typescript: name one target, whose output is a folder with node_modules in it, not {}".format(", ".join(deps)))
    if deps:
        native.alias(name = name, actual = deps[0], visibility = visibility)
    else:
        native.filegroup(name = name, srcs = [], visibility = visibility)

def _packages_impl(ctx: AnalysisContext) -> list[Provider]:
    out = ctx.actions.declare_output("packages/tree", dir = True, has_content_based_path = True)
    names = list(ctx.attrs.entries)
    others = [
        cmd_args("--with", ctx.actions.write_json("packages/with/{}.json".format(name), ctx.attrs.entries[name], has_content_based_path = True))
        for name in names[1:]
    ]
    run_fetch(ctx, "packages", ctx.attrs.entries[names[0]], out, *others)
    return [DefaultInfo(default_output = out)]

_packages = rule(
    impl = _packages_impl,
    doc = "A folder with the node_modules of all runtimes of TypeScript; created by `protobuf_plugins`.",
    attrs = fetch_attrs() | {
        "entries": attrs.dict(attrs.string(), attrs.dict(attrs.string(), attrs.any()), doc = "Input of `fetch`, by runtime."),
    },
)

def _declare_packages(language: str, _rules: struct, runtimes: dict[str, struct], visibility: list[str], how: dict[str, typing.Any]) -> dict[str, str]:
    """Declares one folder for all runtimes, which is where node looks for them."""
    name = language + "-packages"
    if runtimes:
        _packages(name = name, entries = _entries(language, runtimes), visibility = visibility, **how)
    return {runtime: ":" + name for runtime in runtimes}

def _go_packages_impl(ctx: AnalysisContext) -> list[Provider]:
    return [
        DefaultInfo(),
        GoPkgCompileInfo(pkgs = get_inherited_compile_pkgs(ctx.attrs.deps)),
        GoPkgLinkInfo(pkgs = get_inherited_link_pkgs(ctx.attrs.deps)),
        merge_shared_libraries(ctx.actions, deps = [d[SharedLibraryInfo] for d in ctx.attrs.deps if SharedLibraryInfo in d]),
    ]

_go_packages = rule(
    impl = _go_packages_impl,
    doc = "Packages of Go, each of which what depends on it may import; created by `protobuf_plugins`.",
    attrs = {"deps": attrs.list(attrs.dep(), doc = "The packages, or more of these.")},
)

def _go_together(name: str, deps: Labels, visibility: list[str]) -> None:
    _go_packages(name = name, deps = deps, visibility = visibility)

def _rust_together(name: str, deps: Labels, visibility: list[str]) -> None:
    if len(deps) > len(_SLOTS):
        fail("runtimes of rust: generated code uses {} crates at most, not {}".format(len(_SLOTS), ", ".join(deps)))
    for slot, dep in zip(_SLOTS, deps + [None] * (len(_SLOTS) - len(deps))):
        if dep == None:
            native.filegroup(name = name + slot, srcs = [], visibility = visibility)
        else:
            native.alias(name = name + slot, actual = dep, visibility = visibility)

# How a language has its libraries: `declare` declares the targets of runtimes, and returns
# them by runtime, one or a list; `extras` are the plugins, enabled by an attribute of its
# rule, that have their own runtimes; `library` declares that of one file; `together`
# one that stands for others; `out` is the name of the file of a library.
_RULES = {
    "cpp": struct(
        declare = lambda *_args: {},
        extras = [],
        together = _cpp_together,
    ),
    "go": struct(
        declare = lambda *args: _declare_go(*args),
        extras = ["protoc-gen-connect-go", "protoc-gen-go-grpc"],
        together = _go_together,
    ),
    "java": struct(
        declare = lambda *args: _declare(*args),
        extras = ["protoc-gen-grpc-java"],
        library = _java_library,
        out = lambda library: library.rpartition("/")[2],
        together = _java_together,
    ),
    "python": struct(
        declare = lambda *args: _declare(*args),
        extras = ["grpcio-tools"],
        library = _python_library,
        out = lambda library: library + ".whl",
        together = _python_together,
    ),
    "rust": struct(
        declare = lambda *args: _declare_rust(*args),
        extras = ["protoc-gen-prost-serde", "protoc-gen-tonic"],
        together = _rust_together,
    ),
    "typescript": struct(
        declare = _declare_packages,
        extras = [],
        together = _typescript_together,
    ),
}

def _entries(language: str, runtimes: dict[str, struct]) -> dict[str, Table]:
    """Returns the input of `fetch` for runtimes, by their names."""
    return {
        name: {"locked": r.locked, "name": "{}{}/{}".format(RUNTIMES, language, name), "runtime": None, "version": r.version}
        for name, r in runtimes.items()
    }

def _declare(language: str, rules: struct, runtimes: dict[str, struct], visibility: list[str], how: dict[str, typing.Any]) -> dict[str, str]:
    """Declares a library for each file, and one for each runtime with its dependencies."""
    libraries = libraries_of(runtimes)
    entries = _entries(language, runtimes)
    for library, by_platform in libraries.items():
        _library(
            name = "{}-file-{}".format(language, library),
            entries = {name: entries[name] for name in by_platform.values()},
            library = library,
            out = rules.out(library),
            runtimes = by_platform,
            **how
        )
        rules.library("{}-library-{}".format(language, library), ":{}-file-{}".format(language, library))
    targets = {}
    for name, r in runtimes.items():
        own = libraries_of({name: r})
        everything = [":{}-library-{}".format(language, library) for library in own]
        deps = platform_map(
            {
                platform: [":{}-library-{}".format(language, library) for library, by_platform in own.items() if platform in by_platform] or everything
                for platform in PLATFORMS
            },
            everything,
        )
        target = "{}-runtime-{}".format(language, name)
        rules.together(target, deps, visibility)
        targets[name] = ":" + target
    return targets

def _declare_go(language: str, rules: struct, runtimes: dict[str, struct], visibility: list[str], how: dict[str, typing.Any]) -> dict[str, str]:
    """Declares a folder for each module, a go_library for each package in it, and for each runtime all of its packages."""
    entries = _entries(language, runtimes)
    packages = packages_of(runtimes)
    parts = {}
    for path, package in packages.items():
        own = parts.setdefault(package.module, {})
        own[path] = [package.folder + file for file in package.srcs]
        for file in package.embedded:
            own[path + "/" + file] = [package.folder + file]
    for module, by_platform in libraries_of(runtimes).items():
        _library(
            name = "go-module-" + module,
            entries = {name: entries[name] for name in by_platform.values()},
            library = module,
            out = "module",
            parts = parts.get(module, {}),
            runtimes = by_platform,
            **how
        )
    for path, package in packages.items():
        native.go_library(
            name = "go-package-" + path,
            package_name = path,
            srcs = [":go-module-{}[{}]".format(package.module, path)],
            deps = [":go-package-" + imported for imported in package.imports],
            embed_srcs = {file: ":go-module-{}[{}/{}]".format(package.module, path, file) for file in package.embedded},
            override_cgo_enabled = False,
        )
    targets = {}
    for name, r in runtimes.items():
        rules.together("go-runtime-" + name, [":go-package-" + path for path in r.locked["folders"]], visibility)
        targets[name] = ":go-runtime-" + name
    return targets

def _declare_rust(language: str, _rules: struct, runtimes: dict[str, struct], visibility: list[str], how: dict[str, typing.Any]) -> dict[str, list[str]]:
    """Declares a folder and a rust_library for each crate, with its build script, and for each runtime its crates by their names."""
    entries = _entries(language, runtimes)
    for key, by_platform in libraries_of(runtimes).items():
        at = key.removesuffix(".crate")
        _library(
            name = "rust-crate-" + at,
            entries = {name: entries[name] for name in by_platform.values()},
            library = key,
            out = "crate",
            parts = {"manifest": [at]},
            runtimes = by_platform,
            **how
        )
    for at, crate in crates_of(runtimes).items():
        _rust_crate(at, crate)
    targets = {}
    for name, r in runtimes.items():
        targets[name] = []
        for crate, at in roots_of(r).items():
            target = "rust-runtime-" + crate
            if not rule_exists(target):
                native.alias(name = target, actual = ":rust-library-" + at, visibility = visibility)
            targets[name].append(":" + target)
    return targets

def _rust_crate(at: str, crate: struct) -> None:
    version = (crate.version.partition("+")[0].partition("-")[0] + ".0.0").split(".")
    env = {
        "CARGO_CRATE_NAME": crate.called,
        "CARGO_MANIFEST_DIR": "$(location :rust-crate-{}[manifest])".format(at),
        "CARGO_PKG_NAME": crate.name,
        "CARGO_PKG_VERSION": crate.version,
        "CARGO_PKG_VERSION_MAJOR": version[0],
        "CARGO_PKG_VERSION_MINOR": version[1],
        "CARGO_PKG_VERSION_PATCH": version[2],
        "CARGO_PKG_VERSION_PRE": crate.version.partition("+")[0].partition("-")[2],
    }
    common = {
        "edition": crate.edition,
        "features": crate.features,
        "mapped_srcs": {":rust-crate-" + at: "crate"},
    }
    flags = ["--cap-lints=allow"]
    library_env = dict(env)
    if crate.script:
        script = "rust-script-" + at
        deps, named = _rust_uses(crate.script_imports)
        native.rust_binary(
            name = script + "-build-script-build",
            crate = "build_script_build",
            crate_root = "crate/{}/{}".format(at, crate.script),
            deps = deps,
            env = env,
            named_deps = named,
            rustc_flags = flags,
            **common
        )
        buildscript_run(
            name = script + "-build-script-run",
            buildscript_rule = ":" + script + "-build-script-build",
            env = {key: value for key, value in env.items() if key.startswith("CARGO_PKG_VERSION_")},
            features = crate.features,
            manifest_dir = ":rust-crate-{}[manifest]".format(at),
            package_name = crate.name,
            version = crate.version,
        )
        flags = flags + ["@$(location :{}-build-script-run[rustc_flags])".format(script)]
        library_env["OUT_DIR"] = "$(location :{}-build-script-run[out_dir])".format(script)
    deps, named = _rust_uses(crate.imports)
    native.rust_library(
        name = "rust-library-" + at,
        crate = crate.called,
        crate_root = "crate/{}/{}".format(at, crate.root),
        deps = deps,
        env = library_env,
        named_deps = named,
        proc_macro = crate.macro,
        rustc_flags = flags,
        **common
    )

def _rust_uses(uses: dict[str, dict[str, str | None]]) -> (list[str] | Select, dict[str, str] | Select):
    """Returns the deps and the named_deps of a crate."""
    deps = {platform: [":rust-library-" + at for at, called in crates.items() if called == None] for platform, crates in uses.items()}
    named = {platform: {called: ":rust-library-" + at for at, called in crates.items() if called != None} for platform, crates in uses.items()}
    if "*" in uses:
        return deps["*"], named["*"]
    return platform_map(deps, []), platform_map(named, {})
