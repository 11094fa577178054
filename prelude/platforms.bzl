"""The platforms of the lock and what Buck2 calls them.

Nothing else in this repository translates between the two. The file loads
nothing, so that a Go test can run it and compare it with internal/lock; for the
same reason it has no type annotations, which Go's Starlark does not parse.
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

# What `platform_select` gives where the lock knows no name for the platform.
UNKNOWN_PLATFORM = "unknown"

def platform_select():
    """Returns a select() that gives the lock's name of the configured platform.

    Returns:
        A select of str. A platform that no lock speaks of gives
        `UNKNOWN_PLATFORM` and no error, so that `//...` can be analysed there.
    """
    by_os = {}
    for name, (os, cpu) in PLATFORMS.items():
        cpus = by_os.setdefault("prelude//os:" + os, {"DEFAULT": UNKNOWN_PLATFORM})
        cpus["prelude//cpu:" + cpu] = name
    branches = {os: select(cpus) for os, cpus in by_os.items()}
    branches["DEFAULT"] = UNKNOWN_PLATFORM
    return select(branches)

def host_constraints():
    """Returns the constraints of the machine on which Buck2 itself runs.

    Returns:
        A list of labels for `exec_compatible_with`: what runs under them runs
        on this machine's operating system and processor. It is empty on a
        machine that the lock has no name for.
    """
    host = host_info()
    if host.os.is_linux:
        os = "linux"
    elif host.os.is_macos:
        os = "macos"
    elif host.os.is_windows:
        os = "windows"
    else:
        return []
    if host.arch.is_aarch64:
        cpu = "arm64"
    elif host.arch.is_x86_64:
        cpu = "x86_64"
    else:
        return []
    return ["prelude//os:" + os, "prelude//cpu:" + cpu]
