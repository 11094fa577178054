# Runs pip with environment markers of other platforms, which no option of pip
# can give, once for each of them and all in one process: python -c THIS JOB.
# The job is JSON: the port of the index, and the runs. A run has its markers, the
# arguments of pip, and the file for what pip says. A run is left out where an earlier
# one gives its answer: where the markers that pip asked then are all the same now, and
# so is what the index has. Written is what became of each run, and what was refused,
# as JSON.
import json
import os
import sys
import traceback
import urllib.request

from pip._vendor.packaging import markers

with open(sys.argv.pop(1)) as f:
    job = json.load(f)
real, env, refused = markers.default_environment(), {}, []
markers.default_environment = lambda: dict(env)
heard, evaluate = [], markers.Marker.evaluate


def asked(self, *args, **kw):
    says = evaluate(self, *args, **kw)
    heard.append((self, args, kw, says))
    return says


markers.Marker.evaluate = asked


def guard(port):
    """Whatever a package asks for: this process starts no other, so no build
    backend and no version control can run, and it speaks with its index alone.
    https://docs.python.org/3/library/audit_events.html"""
    starts = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.startfile/2", "os.system", "pty.spawn", "subprocess.Popen"}
    names = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
    sends = {"socket.connect", "socket.sendto", "socket.sendmsg"}

    def hook(event, args):
        if event in starts:
            what = "start " + str(args[0] if args else event)
        elif event in names and args[0] not in ("127.0.0.1", b"127.0.0.1"):
            what = "reach " + str(args[0])
        elif event in sends and tuple(args[1] or ())[:2] != ("127.0.0.1", port):
            what = "reach " + str(args[1])
        else:
            return
        refused.append(what)
        raise PermissionError("not while a lock is made: " + what)

    sys.addaudithook(hook)


if not hasattr(sys, "addaudithook"):
    sys.exit("this Python is older than 3.8")
guard(job["port"])


def pretend(other):
    env.clear()
    env.update(real)
    env.update(other)
    for key in ("sys_platform", "platform_machine", "python_version", "python_full_version"):
        for value, want in ((env[key], True), ("other", False)):
            if markers.Marker("%s == '%s'" % (key, value)).evaluate() != want:
                sys.exit("this pip does not take the markers of another platform")
    if not str(candidate(None)).startswith("Python " + env["python_version"]):
        sys.exit("this pip does not take another Python")


try:
    # What a wheel says in Requires-Python pip holds against its own Python, also
    # where --python-version names another.
    from pip._internal.resolution.resolvelib.candidates import RequiresPythonCandidate as candidate

    candidate_init = candidate.__init__
    candidate.__init__ = lambda self, *args, **kw: candidate_init(self, tuple(int(n) for n in env["python_full_version"].split(".")))
except ImportError:
    sys.exit("this pip does not take another Python")

causes = []


def listen():
    """Why there is nothing to install, before pip makes sentences of it."""
    from pip._internal.resolution.resolvelib.factory import Factory

    tell = Factory.get_installation_error

    def parent(cause):
        return {"name": str(cause.parent.project_name), "version": str(cause.parent.version)} if cause.parent is not None else None

    def told(self, error, *args, **kw):
        for cause in error.causes:
            wanted = cause.requirement
            python = type(wanted).__name__ == "RequiresPythonRequirement"
            causes.append({"python": str(wanted.specifier) if python else "", "name": "" if python else str(wanted.project_name), "text": str(wanted), "parent": parent(cause)})
        return tell(self, error, *args, **kw)

    Factory.get_installation_error = told


try:
    listen()
except (ImportError, AttributeError):
    pass  # another pip inside: its own words are shown
try:
    from pip._internal.network import session

    session.user_agent = lambda: "pip"  # which runs programs to know it
except ImportError:
    pass

from pip._internal.cli.main import main


def run(arguments, file):
    """Returns what pip ends with. What it says on standard error is in the file."""
    sys.stderr.flush()
    before = os.dup(2)
    with open(file, "w+b") as said:
        os.dup2(said.fileno(), 2)
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:
            traceback.print_exc()
            status = 1
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
    return int(status or 0)


answer, ends, good = os.dup(1), [], {}
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def same(n):
    """The earlier run that gives the answer of this one, None for none."""
    for before, said in good.items():
        if all(evaluate(marker, *args, **kw) == says for marker, args, kw, says in said):
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open("%s/%d/same/%d" % (job["index"], n, before)) as r:
                if r.read() == b"yes":
                    return before
    return None


for n, each in enumerate(job["runs"]):
    pretend(each["markers"])
    before = same(n)
    if before is not None:
        ends.append({"code": 0, "causes": [], "same": before})
        continue
    del causes[:], heard[:]
    code = run(each["arguments"], each["said"])
    if code == 0:
        good[n] = list(heard)
    ends.append({"code": code, "causes": list(causes)})
with open(answer, "w") as f:
    json.dump({"runs": ends, "refused": refused}, f)
