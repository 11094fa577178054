# Runs a plugin from its locked tree with the Python of this machine:
#
#     python -I -S -B -X utf8 THIS TREE PYTHONS PROGRAM ENTRY GENERATOR ARGS...
#
# PYTHONS is the list of interpreters that the tree has wheels for, "3.11,3.12".
# ENTRY is MODULE:FUNCTION, or MODULE as python -m runs it. With a GENERATOR the
# entry is the main function of a protoc, and that protoc's --GENERATOR_out is the
# plugin; without one it is "". Of the machine only the standard library is seen
# (-I, -S), and no .pth file runs.
import importlib
import os
import sys


def main():
    tree, pythons, program, entry, generator = sys.argv[1:6]
    tree = os.path.abspath(tree)
    sys.argv = [program] + sys.argv[6:]
    version = "%d.%d" % sys.version_info[:2]
    kind = sys.implementation.name
    if "t" in getattr(sys, "abiflags", ""):
        kind = "free-threaded " + kind
    if version not in pythons.split(",") or kind != "cpython":
        refuse(program, pythons, kind, version)
    refused = find_wheels([os.path.join(tree, "py" + version), tree])
    if refused:
        refuse_release(program, refused)
    try:
        run = load(entry)
    except ImportError:
        import sysconfig

        sys.stderr.write("%s: error: %s is a Python for %s, which cannot load what is in %s\n" % (program, sys.executable, sysconfig.get_platform(), tree))
        raise
    if generator:
        sys.exit(generate(run, generator))
    sys.exit(run())


def refuse(program, pythons, kind, version):
    sys.stderr.write(
        "%s: error: it is locked for CPython %s, and %s is %s %s\n"
        "%s: hint: install one of them and name it: BUCK2_PROTOBUF_PYTHON=COMMAND for fetch, "
        '[buck2_protobuf] python = COMMAND in .buckconfig for Buck2; or write "%s" into python of plugins.toml and run: lockgen update\n'
        % (program, pythons.replace(",", ", "), sys.executable, kind, version, program, version)
    )
    sys.exit(7)


def refuse_release(program, refused):
    release = "%d.%d.%d" % sys.version_info[:3]
    sys.stderr.write(
        "%s: error: %s is Python %s, and %s says Requires-Python: %s\n"
        "%s: hint: install another patch release and name it: BUCK2_PROTOBUF_PYTHON=COMMAND for fetch, [buck2_protobuf] python = COMMAND in .buckconfig for Buck2\n"
        % ((program, sys.executable, release) + refused + (program,))
    )
    sys.exit(7)


def requires(info):
    """Returns what a .dist-info folder says in Requires-Python."""
    try:
        with open(os.path.join(info, "METADATA"), encoding="utf-8", errors="replace") as f:
            for line in f:
                name, _, value = line.strip().partition(":")
                if name.lower() == "requires-python":
                    return value.strip()
                if not name:
                    break  # the description
    except OSError:
        pass
    return ""


def fits(wanted, release):
    """Compares a release with version specifiers (PEP 440)."""
    for clause in filter(None, (clause.strip() for clause in wanted.split(","))):
        version = clause.lstrip("=<>!~")
        operator, version = clause[: len(clause) - len(version)], version.strip()
        star, before, numbers = version.endswith(".*"), False, []
        for part in version[: -2 if star else None].split("."):
            digits = part[: len(part) - len(part.lstrip("0123456789"))]
            if digits:
                numbers.append(int(digits))
            if digits != part:  # a pre-release
                before = True
                break
        have = list(release) + [0] * (len(numbers) - len(release))
        want = numbers + [0] * (len(have) - len(numbers))
        order = (have > want) - (have < want) or int(before)
        equal = have[: len(numbers)] == numbers if star else order == 0
        good = {
            "==": equal, "===": equal, "!=": not equal, ">=": order >= 0, "<=": order <= 0, ">": order > 0, "<": order < 0,
            "~=": order >= 0 and have[: len(numbers) - 1] == numbers[:-1],
        }
        if not good.get(operator, True):
            return False
    return True


def find_wheels(roots):
    """Puts wheels where an installation would have them: modules on sys.path,
    scripts on PATH (PEP 427, "The .data directory"). A wheel that does not want
    this release of Python is returned, with what it wants."""
    scripts, refused = [], None
    for root in filter(os.path.isdir, roots):
        sys.path.append(root)
        for name in sorted(os.listdir(root)):
            if name.endswith(".dist-info"):
                wanted = requires(os.path.join(root, name))
                if not fits(wanted, sys.version_info[:3]):
                    refused = (name[: -len(".dist-info")].replace("-", " "), wanted)
            if not name.endswith(".data"):
                continue
            for part in ("purelib", "platlib"):
                if os.path.isdir(os.path.join(root, name, part)):
                    sys.path.append(os.path.join(root, name, part))
            if os.path.isdir(os.path.join(root, name, "scripts")):
                scripts.append(os.path.abspath(os.path.join(root, name, "scripts")))
    os.environ["PATH"] = os.pathsep.join(scripts + [os.environ.get("PATH", os.defpath)])
    return refused


def load(entry):
    module, _, function = entry.partition(":")
    if not function:
        import runpy

        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return lambda: 0
    found = importlib.import_module(module)
    for part in function.split("."):
        found = getattr(found, part)
    return found


def generate(protoc, generator):
    """Is a plugin by a protoc that can generate and is none: what the request
    holds goes to it as a descriptor set, what it writes is the response.
    Formats: google/protobuf/compiler/plugin.proto, descriptor.proto."""
    import tempfile

    names, parameter, files = [], "", []
    for number, value in fields(sys.stdin.buffer.read()):
        if number == 1:
            names.append(value.decode())
        elif number == 2:
            parameter = value.decode()
        elif number == 15:
            files.append(value)
    # Proto3 optional and editions: whether it knows them that protoc says.
    response = [b"\x10\x03", b"\x18\xe6\x07", b"\x20\xff\xff\xff\xff\x07"]
    here = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="protoc-plugin-") as scratch:
        os.chdir(scratch)
        try:
            os.mkdir("out")
            with open("set", "wb") as f:
                f.write(b"".join(field(1, file) for file in files))
            if names:
                out = "%s:out" % parameter if parameter else "out"
                status = protoc(["protoc", "--descriptor_set_in=set", "--%s_out=%s" % (generator, out)] + names)
                if status:
                    return status
            for folder, folders, found in os.walk("out"):
                folders.sort()
                for name in sorted(found):
                    path = os.path.join(folder, name)
                    with open(path, "rb") as f:
                        content = f.read()
                    shown = os.path.relpath(path, "out").replace(os.sep, "/")
                    response.append(field(15, field(1, shown.encode()) + field(15, content)))
        finally:
            os.chdir(here)
    sys.stdout.buffer.write(b"".join(response))
    sys.stdout.buffer.flush()
    return 0


def fields(data):
    """Yields number and value of the length-delimited fields of a message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            _, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        else:
            at += {1: 8, 5: 4}[key & 7]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def field(number, value):
    out = b""
    for n in (number << 3 | 2, len(value)):
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        out += bytes([n])
    return out + value


main()
