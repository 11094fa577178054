"""The platforms of the lock, and their names in Buck2.

Nothing else converts between the two. This file loads nothing and has no type
annotations, which Go's Starlark does not parse, so that a Go test can run it and
compare it with internal/lock.
"""

# Name in the lock -> (prelude//os:…, prelude//cpu:…).
PLATFORMS = {
    "linux-aarch64": ("linux", "arm64"),
    "linux-x86_64": ("linux", "x86_64"),
    "macos-aarch64": ("macos", "arm64"),
    "macos-x86_64": ("macos", "x86_64"),
    "windows-aarch64": ("windows", "arm64"),
    "windows-x86_64": ("windows", "x86_64"),
}

# The value of `platform_select` for a platform that the lock has no name for.
_UNKNOWN = "unknown"

def platform_select():
    """Returns a select() for the lock's name of the configured platform.

    Returns:
        A select of str. It is `unknown`, not an error, for a platform that the lock
        has no name for, so that `//...` can be analysed there.
    """
    return platform_map({name: name for name in PLATFORMS}, _UNKNOWN)

def platform_map(values, default):
    """Returns a select() that gives the value of the configured platform.

    Args:
        values: dict by the lock's name of a platform.
        default: what any other platform gives.

    Returns:
        A select of a value.
    """
    by_os = {}
    for name, (os, cpu) in PLATFORMS.items():
        cpus = by_os.setdefault("prelude//os:" + os, {"DEFAULT": default})
        cpus["prelude//cpu:" + cpu] = values.get(name, default)
    branches = {os: select(cpus) for os, cpus in by_os.items()}
    branches["DEFAULT"] = default
    return select(branches)

def host():
    """Returns Buck2's names for the machine on which Buck2 itself runs.

    Returns:
        The operating system and the processor; each is empty if the lock has no
        name for it.
    """
    info = host_info()
    os = "linux" if info.os.is_linux else "macos" if info.os.is_macos else "windows" if info.os.is_windows else ""
    cpu = "arm64" if info.arch.is_aarch64 else "x86_64" if info.arch.is_x86_64 else ""
    return os, cpu

def host_platform():
    """Returns the lock's name of the machine on which Buck2 itself runs.

    Returns:
        str, or None if the lock has no name for it.
    """
    for name, words in PLATFORMS.items():
        if words == host():
            return name
    return None

def host_constraints():
    """Returns the constraints of the machine on which Buck2 itself runs.

    Returns:
        A list of labels for `exec_compatible_with`, so that only this machine's
        operating system and processor are used. It is empty on a machine that the
        lock has no name for.
    """
    os, cpu = host()
    return ["prelude//os:" + os, "prelude//cpu:" + cpu] if os and cpu else []
