"""Reads a plugins.lock.toml that a BUCK file has loaded.

All functions here are pure. The file loads nothing and has no type annotations, which
Go's Starlark does not parse, so that a Go test can run it and compare it with
internal/lock, which defines the format.

A lock is the dict that `load("//:plugins.lock.toml", lock = "value")` returns. A
*locked version* is its table for one version of a plugin. lockgen writes locks; `fetch`
validates each entry again, more strictly.
"""

# The version of the format that this file reads.
_SCHEMA = 1

# The names that a lock may use. A test compares them with internal/lock.
SOURCES = ["cargo", "go", "http", "maven", "npm", "oci", "pip"]
ARCHIVES = ["bz2", "gz", "rust.tar.xz", "tar.bz2", "tar.gz", "tar.xz", "tar.zst", "xz", "zip", "zst"]
PLATFORMS = ["linux-aarch64", "linux-x86_64", "macos-aarch64", "macos-x86_64", "windows-aarch64", "windows-x86_64"]

# Prefix of the names of proto packages among plugins. No plugin's name has it.
PROTOS = "protos/"

# Begins the names of runtimes, likewise.
RUNTIMES = "runtimes/"

_PREFIX = "protoc-gen-"
_WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:"

def plugins_of(lock):
    """Checks the parts of a lock that actions rely on, and returns its plugins and proto packages.

    Args:
        lock: dict, the value loaded from a plugins.lock.toml.

    Returns:
        A dict of the locked versions by plugin name, then by version. A proto package
        is called protos/NAME. It fails if the lock is malformed or has another schema;
        the message says what to run.
    """
    schema = lock.get("schema")
    if schema != _SCHEMA:
        if type(schema) == "int" and schema > _SCHEMA:
            fail("plugins.lock.toml has schema {}, but this buck2-protobuf reads {}: use a newer buck2-protobuf".format(schema, _SCHEMA))
        fail("plugins.lock.toml has schema {}, expected {}. Run: lockgen update".format(schema, _SCHEMA))
    plugins = lock.get("plugins", {}) | {PROTOS + name: versions for name, versions in lock.get("protos", {}).items()}
    for name, versions in plugins.items():
        for version, locked in versions.items():
            problem = _problem_of_protos(plugins, locked) if name.startswith(PROTOS) else _problem(plugins, locked)
            if problem:
                fail("plugins.lock.toml: {} {}: {}. Run: lockgen update".format(name, version, problem))
    return plugins

def runtimes_of(lock, own, fits = {}):
    """Checks what actions rely on in the runtimes of a lock, and returns them.

    Args:
        lock: dict, a value that `plugins_of` has taken.
        own: list of str, languages for which the user has libraries of their own: the
            only runtime of each is called `*`.
        fits: dict of list of str, the NAME@VERSION of the plugins whose code these run,
            by language; without those of a plugin, they run the code of every version.

    Returns:
        A dict by language of a dict by name of a struct of `version`, `locked`, the
        locked version, and `fits`, the NAME@VERSION of the plugins whose code it was
        chosen for. It fails as `plugins_of` does.
    """
    languages = {language: {"*": struct(version = "own", locked = None, fits = fits.get(language, []))} for language in own}
    for language, names in lock.get("runtimes", {}).items():
        if language in languages:
            continue
        languages[language] = {}
        for name, versions in names.items():
            for version, locked in versions.items():
                problem = _problem({}, locked, runtime = True)
                if not problem and len(versions) > 1:
                    problem = "there is more than one version"
                if problem:
                    fail("plugins.lock.toml: runtimes/{}/{} {}: {}. Run: lockgen update".format(language, name, version, problem))
                languages[language][name] = struct(version = version, locked = locked, fits = locked.get("fits", []))
    return languages

def libraries_of(runtimes):
    """Returns the libraries that the runtimes of a language consist of.

    Args:
        runtimes: dict by name of the structs of `runtimes_of`.

    Returns:
        A dict by library of a dict by platform of the name of the first runtime that
        has it there. A library is called as PEP 503 says for wheels, which may be
        several, and as the key of its file for others.
    """
    libraries = {}
    for name in sorted(runtimes):
        locked = runtimes[name].locked
        for platform in PLATFORMS:
            cell = cell_of(locked, platform)
            if cell.unavailable != None:
                continue
            for file in files_of(locked, cell.platform):
                library = _project(file) if locked["source"] == "pip" else file
                libraries.setdefault(library, {}).setdefault(platform, name)
    return libraries

# Endings of the files that a package of Go is compiled from; it embeds the others.
_COMPILED = [".go", ".h", ".s", ".S"]

def packages_of(runtimes):
    """Returns the packages that the runtimes of Go consist of.

    Args:
        runtimes: dict by name of the structs of `runtimes_of`.

    Returns:
        A dict by import path of a struct of `module`, the key of the module; `folder`,
        that of the package in the unpacked module, with a slash at the end; `srcs` and
        `embedded`, its files; and `imports`, other packages.
    """
    packages = {}
    for name in sorted(runtimes):
        locked = runtimes[name].locked
        for path, folder in locked["folders"].items():
            if path in packages:
                continue
            module = ""
            for key, file in locked["files"].items():
                at = file["name"]
                if (path == at or path.startswith(at + "/")) and (not module or len(at) > len(locked["files"][module]["name"])):
                    module = key
            file = locked["files"][module]
            packages[path] = struct(
                embedded = [f for f in folder["files"] if not [e for e in _COMPILED if f.endswith(e)]],
                folder = "{}@v{}{}/".format(file["name"], file["version"], path.removeprefix(file["name"])),
                imports = folder.get("imports", []),
                module = module,
                srcs = [f for f in folder["files"] if [e for e in _COMPILED if f.endswith(e)]],
            )
    return packages

def crates_of(runtimes):
    """Returns the crates that the runtimes of Rust consist of.

    Args:
        runtimes: dict by name of the structs of `runtimes_of`.

    Returns:
        A dict by NAME-VERSION of a struct of `called`, what code calls it; `edition`;
        `features`; `macro`, whether rustc runs it; `name` and `version`; `root`, the
        file that is compiled; `script`, that of its build script, or None; `imports`
        and `script_imports`, what both use: a dict by platform of a dict by NAME-VERSION
        of what code calls it, or None for its own name. Where it is the same on each
        platform, the only platform is `*`.
    """
    crates = {}
    for name in sorted(runtimes):
        locked = runtimes[name].locked
        for at, folder in locked["folders"].items():
            if at not in crates:
                file = locked["files"][at + ".crate"]
                crates[at] = struct(
                    called = folder.get("called") or file["name"].replace("-", "_"),
                    edition = folder["edition"],
                    features = folder.get("features", []),
                    imports = _uses(locked, folder.get("imports", [])),
                    macro = folder.get("type") == "proc-macro",
                    name = file["name"],
                    root = folder.get("root", "src/lib.rs"),
                    script = folder.get("script"),
                    script_imports = _uses(locked, folder.get("script-imports", [])),
                    version = file["version"],
                )
    return crates

def _uses(locked, items):
    """Returns what a crate uses, by platform. See `crates_of`."""
    some = [item for item in items if " " in item]
    uses = {}
    for platform in PLATFORMS if some else ["*"]:
        cell = cell_of(locked, platform) if some else struct(platform = "", unavailable = None)
        uses[platform] = {}
        for item in items:
            crate, _, platforms = item.partition(" ")
            called, _, crate = crate.rpartition("=")
            if cell.unavailable == None and (not platforms or cell.platform in platforms.split(" ")):
                uses[platform][crate] = called or None
    return uses

def roots_of(runtime):
    """Returns the crates that a runtime of Rust is.

    Args:
        runtime: a struct of `runtimes_of`.

    Returns:
        A dict by the name of the crate of NAME-VERSION: its own first, then those that
        belong to it, which no other one uses.
    """
    locked = runtime.locked
    own = "{}-{}".format(locked["package"], runtime.version)
    used = {own: True}
    for folder in locked["folders"].values():
        for item in folder.get("imports", []) + folder.get("script-imports", []):
            used[item.partition(" ")[0].rpartition("=")[2]] = True
    return {locked["files"][at + ".crate"]["name"]: at for at in [own] + [at for at in locked["folders"] if at not in used]}

def _project(file):
    """Returns the project of a wheel, called as PEP 503 says."""
    name = file.partition("-")[0].lower().replace("_", "-").replace(".", "-")
    return "-".join([part for part in name.split("-") if part])

def misfit(runtimes, language, plugin, version, needs):
    """Says why the runtimes of a lock do not run what a plugin generates.

    Args:
        runtimes: dict by language of a dict by name of structs with `version` and
            `fits`, as of `runtimes_of`.
        language: str, that of the code.
        plugin: str, the plugin's name in the lock.
        version: str, its version.
        needs: str, the library without which its code does not run, or empty.

    Returns:
        str, the problem and what to run, or None.
    """
    known = runtimes.get(language, {})
    for name in sorted(known):
        fits = known[name].fits
        if [f for f in fits if f.partition("@")[0] == plugin] and plugin + "@" + version not in fits:
            if name == "*":
                return "the libraries that toolchains/BUCK names for {} are for the code of {}, as its `fits` says, and not for that of {} {}. Name libraries of that release, or set plugin_version".format(
                    language,
                    " and ".join(fits).replace("@", " "),
                    plugin,
                    version,
                )
            return "runtimes/{}/{} {} is locked for the code of {}, and not for that of {} {}. Run: lockgen update".format(
                language,
                name,
                known[name].version,
                " and ".join(fits).replace("@", " "),
                plugin,
                version,
            )
    if needs and needs not in known and "*" not in known:
        return "the code of {} needs the library {}, which is not locked. Run: lockgen add runtimes/{}/{}".format(plugin, needs, language, needs)
    return None

def cell_of(locked, platform):
    """Returns the cell of a locked version for a platform, after emulation.

    Args:
        locked: dict, the locked version.
        platform: str, a platform's name in the lock.

    Returns:
        A struct of `platform`, whose files are used; `binary`, relative to the tree;
        and `unavailable`, why there is no binary, or None.
    """
    cells = locked["platforms"]
    if "any" in cells:
        platform = "any"  # a proto package is the same everywhere
    cell = cells.get(platform)
    if cell == None:
        return struct(platform = platform, binary = None, unavailable = "the lock has no such platform")
    emulated = cell.get("emulate")
    if emulated:
        platform = emulated
        cell = cells[platform]
    return struct(
        platform = platform,
        binary = cell.get("binary"),
        unavailable = cell.get("unavailable"),
    )

def files_of(locked, platform):
    """Returns the files of the tree of a platform.

    Args:
        locked: dict, the locked version.
        platform: str, a platform's name in the lock, after emulation.

    Returns:
        A dict of the lock's file tables by their key.
    """
    return {
        key: file
        for key, file in locked["files"].items()
        if not file.get("platforms") or platform in file["platforms"]
    }

def jars_of(locked, platform):
    """Returns the jars that Java runs a plugin from.

    Args:
        locked: dict, the locked version, of source maven with a runtime.
        platform: str, a platform's name in the lock, after emulation.

    Returns:
        A list of paths in the tree, the plugin's own jar first.
    """
    own = locked["platforms"][platform].get("binary")
    others = ["lib/" + key for key, file in files_of(locked, platform).items() if not file.get("archive")]
    return [own] + [jar for jar in sorted(others) if jar != own]

def direct_url(file):
    """Returns the URL from which Buck2 itself can download a file, or None.

    Buck2 sends no credentials and asks no package manager, so it can only use a public
    URL: https, or http on this machine, without user information.

    Args:
        file: dict, the lock's table of one file.

    Returns:
        The URL, or None if `fetch` must download the file.
    """
    url = file.get("url", "")
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if not authority or "@" in authority:
        return None
    if scheme == "https":
        return url
    host = authority.rpartition(":")[0] or authority
    if scheme == "http" and host in ["127.0.0.1", "[::1]", "localhost"]:
        return url
    return None

def prebuilt_fetch(versions, platform, mirrors):
    """Returns how to download the program `fetch` in a lock.

    Args:
        versions: dict, the locked versions of `fetch`, or None.
        platform: str, the lock's name of the machine that will run it, or None.
        mirrors: list of dicts with `from` and `to`, as in [[mirror]] of plugins.toml.

    Returns:
        A dict of `out`, `sha256`, `size` and `url`; None if the lock has none for the
        platform. It fails if Buck2 cannot download the one in the lock.
    """
    if not versions or not platform:
        return None
    version = newest(list(versions))
    locked = versions[version]
    cell = cell_of(locked, platform)
    if not cell.binary:
        return None
    files = files_of(locked, cell.platform).values()
    url = direct_url(files[0]) if len(files) == 1 and locked["source"] == "http" and not files[0].get("archive") else None
    if url == None:
        fail("plugins.lock.toml: fetch {} is not one executable at a public URL. Correct it in [tool] of plugins.toml, then run: lockgen update".format(version))
    for m in mirrors:
        if url.startswith(m["from"]) and m["to"].partition("://")[0] in ["http", "https"]:
            url = m["to"] + url.removeprefix(m["from"])
            break
    return {
        "out": "fetch.exe" if cell.platform.startswith("windows-") else "fetch",
        "sha256": files[0]["sha256"],
        "size": files[0]["size"],
        "url": url,
    }

def option_name(locked, plugin = None):
    """Returns the NAME of `--NAME_out`.

    protoc finds the plugin NAME as `protoc-gen-NAME`. The lock has the path of its
    executable, which in an npm package may be `protoc-gen-NAME.js`, or
    `protoc-gen-NAME-linux-x64` for a native program; for a Python plugin it has the
    name.

    Args:
        locked: dict, the locked version.
        plugin: str, the name of the plugin in the lock, or None.

    Returns:
        str, or None if it is not a protoc plugin. For a plugin without any platform it
        is `unavailable`: the name is not known, and nothing can run.
    """
    name = None if "any" in locked["platforms"] else "unavailable"
    for cell in locked["platforms"].values():
        if not cell.get("binary"):
            continue
        name = None
        base = locked.get("program") or cell["binary"].rpartition("/")[2]
        if base.startswith(_PREFIX):
            for suffix in [".exe", ".js", ".cjs", ".mjs"]:
                base = base.removesuffix(suffix)
            if plugin and locked["source"] == "npm" and base.startswith(plugin + "-"):
                base = plugin
            return base.removeprefix(_PREFIX)
    return name

def version_key(version):
    """Returns a key that orders versions as `lockgen` and `fetch` do.

    Semantic versions are ordered by precedence; their last numbers may be missing. Any
    other version comes before them.

    Args:
        version: str, a version.

    Returns:
        A key for `sorted`.
    """
    main, plus, build = version.partition("+")
    numbers, dash, pre = main.partition("-")
    parts = numbers.split(".")
    ids = pre.split(".") if dash else []
    valid = (
        len(parts) <= 3 and
        (len(parts) == 3 or not (dash or plus)) and
        not [p for p in parts if not _is_number(p)] and
        not [p for p in ids if not _is_word(p) or (p.isdigit() and not _is_number(p))] and
        not [p for p in build.split(".") if plus and not _is_word(p)]
    )
    if not valid:
        return (0, [], 0, [], version)
    return (
        1,
        [int(p) for p in parts] + [0] * (3 - len(parts)),
        0 if dash else 1,
        [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in ids],
        version,
    )

def newest(versions):
    """Returns the newest of several versions.

    Args:
        versions: list of str, not empty.

    Returns:
        str, one of them.
    """
    return sorted(versions, key = version_key)[-1]

def pick(plugins, name, version):
    """Picks one version of one plugin.

    Args:
        plugins: dict by plugin name, then by version, of any values.
        name: str, the plugin.
        version: str, or None for the only or newest one.

    Returns:
        The version. It fails if the plugin or the version is not locked; the message
        lists those that are, and the `lockgen add` that locks it.
    """
    versions = plugins.get(name)
    if not versions:
        fail("plugin `{}` is not locked; the lock has: {}. Run: lockgen add {}".format(
            name,
            ", ".join(sorted(plugins)) or "none",
            "{}@{}".format(name, version) if version else name,
        ))
    if version == None:
        return newest(list(versions))
    if version not in versions:
        fail("version {} of plugin `{}` is not locked; the lock has: {}. Run: lockgen add {}@{}".format(
            version,
            name,
            ", ".join(sorted(versions, key = version_key)),
            name,
            version,
        ))
    return version

def _problem(plugins, locked, runtime = False):
    """Returns what is wrong with a locked version, or None."""
    for key in ["source", "files", "platforms"]:
        if key not in locked:
            return "`{}` is missing".format(key)
    if locked["source"] not in SOURCES:
        return "source {} is not one of {}".format(repr(locked["source"]), ", ".join(SOURCES))
    for key in ["runtime", "toolchain"]:
        needed = locked.get(key)
        if needed:
            name, _, version = needed.partition("@")
            if version not in plugins.get(name, {}):
                return "its {} {} is not locked".format(key, needed)
    if locked["source"] == "maven" and locked.get("runtime"):
        for word in [locked.get("program", ""), locked.get("main", "")]:
            if type(word) != "string" or not word or word.strip(_WORD + "$"):
                return "program or main is malformed: {}".format(repr(word))
    if locked.get("python") and not runtime:
        # These become words of a script.
        for word in locked["python"] + [locked.get("program", ""), locked.get("entry", ""), locked.get("generator", "x")]:
            if type(word) != "string" or not word or word.strip(_WORD):
                return "python, program, entry or generator is malformed: {}".format(repr(word))
    problem = _problem_of_files(locked) or (_problem_of_packages(locked) if runtime else None)
    if problem:
        return problem
    for platform, cell in locked["platforms"].items():
        if platform not in PLATFORMS:
            return "unknown platform {}".format(repr(platform))
        kinds = [k for k in ["emulate", "tree", "unavailable"] if cell.get(k)]
        if locked["source"] == "cargo" and kinds == [] and _is_path(cell.get("binary")):
            continue  # compiled where it is used, so its tree is not known in advance
        if len(kinds) != 1:
            return "platform {} must have exactly one of tree, emulate and unavailable".format(platform)
        if kinds == ["tree"] and not (_is_sha256(cell["tree"]) and (runtime or _is_path(cell.get("binary")))):
            return "platform {} has a malformed tree or binary".format(platform)
        if kinds == ["emulate"] and not locked["platforms"].get(cell["emulate"], {}).get("tree" if runtime else "binary"):
            return "platform {} emulates {}, which is not locked".format(platform, cell["emulate"])
    return None

def _problem_of_protos(plugins, locked):
    """Returns what is wrong with a locked proto package, or None."""
    for key in ["source", "files", "folders", "platforms"]:
        if key not in locked:
            return "`{}` is missing".format(key)
    if locked["source"] not in SOURCES:
        return "source {} is not one of {}".format(repr(locked["source"]), ", ".join(SOURCES))
    if list(locked["platforms"]) != ["any"] or not _is_sha256(locked["platforms"]["any"].get("tree")):
        return "it must have only the platform any, with a tree"
    for dep in locked.get("deps", []):
        if PROTOS + dep not in plugins:
            return "proto package {} of its deps is not locked".format(dep)
    for folder, content in locked["folders"].items():
        files = content.get("files", [])
        if not (folder == "." or _is_path(folder)) or not files or [f for f in files if not _is_path(f) or "/" in f or not f.endswith(".proto")]:
            return "folder {} is malformed".format(repr(folder))
    return _problem_of_files(locked)

def _problem_of_packages(locked):
    """Returns what is wrong with the packages of a runtime, or None."""
    if locked["source"] == "cargo":
        return _problem_of_crates(locked)
    if locked["source"] != "go":
        return None
    modules = [file.get("name", "") for file in locked["files"].values()]
    folders = locked.get("folders", {})
    if not folders:
        return "`folders` is missing"
    for path, folder in folders.items():
        files = folder.get("files", [])
        if not _is_path(path) or [f for f in files if not _is_path(f)]:
            return "folder {} is malformed".format(repr(path))
        if not [m for m in modules if m and (path == m or path.startswith(m + "/"))]:
            return "folder {} is in none of the modules".format(repr(path))
        for imported in folder.get("imports", []):
            if imported not in folders:
                return "folder {} imports {}, which is not locked".format(repr(path), repr(imported))
    return None

def _problem_of_crates(locked):
    """Returns what is wrong with the crates of a runtime, or None."""
    folders = locked.get("folders", {})
    if sorted([at + ".crate" for at in folders]) != sorted(locked["files"]):
        return "`folders` and files are not those of the same crates"
    for at, folder in folders.items():
        words = [folder.get("edition"), folder.get("called", "x")] + [f.replace("/", "").replace("+", "") for f in folder.get("features", [])]
        if [w for w in words if type(w) != "string" or not w or w.strip(_WORD)] or [f for f in [folder.get("root", "x"), folder.get("script", "x")] if not _is_path(f)]:
            return "folder {} is malformed".format(repr(at))
        for item in folder.get("imports", []) + folder.get("script-imports", []):
            imported = item.partition(" ")[0].rpartition("=")[2]
            if imported not in folders:
                return "folder {} imports {}, which is not locked".format(repr(at), repr(imported))
    return None

def _problem_of_files(locked):
    """Returns what is wrong with the files of a locked version, or None."""
    for key, file in locked["files"].items():
        if not _is_sha256(file.get("sha256")):
            return "sha256 of `{}` is not 64 lower-case hexadecimal digits".format(key)
        if type(file.get("size")) != "int" or file["size"] <= 0:
            return "size of `{}` is not a number of bytes".format(key)
        if "archive" in file and (file["archive"] not in ARCHIVES or locked["source"] not in ["http", "maven", "oci"]):
            return "archive {} of `{}` is not one of {}, or the source is not http, maven or oci".format(repr(file["archive"]), key, ", ".join(ARCHIVES))
        for platform in file.get("platforms", []):
            if platform not in PLATFORMS:
                return "unknown platform {} of `{}`".format(repr(platform), key)
    return None

def _is_sha256(value):
    return type(value) == "string" and len(value) == 64 and not value.strip("0123456789abcdef") and bool(value.strip("0"))

def _is_path(value):
    if type(value) != "string" or "\\" in value or ":" in value:
        return False
    return not [part for part in value.split("/") if part in ["", ".", ".."]]

def _is_word(value):
    return bool(value) and value.replace("-", "a").isalnum()

def _is_number(value):
    return value.isdigit() and (value == "0" or not value.startswith("0"))
