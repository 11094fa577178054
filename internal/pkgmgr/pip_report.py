# Runs pip with environment markers of other platforms, which no option of pip
# can give, once for each of them and all in one process, so that the index is
# asked once: python -c THIS RUNS-AS-JSON. A run has its markers, the arguments of
# pip, and the file for what pip says. Written are the exit codes, as a list. It
# is shorter than that of the runs where one failed for another reason than that
# there is no wheel.
import json
import os
import sys
import traceback

from pip._vendor.packaging import markers

with open(sys.argv.pop(1)) as f:
    runs = json.load(f)
real, env = markers.default_environment(), {}
markers.default_environment = lambda: dict(env)


def pretend(other):
    env.clear()
    env.update(real)
    env.update(other)
    for key in ("sys_platform", "platform_machine", "python_version"):
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
    candidate.__init__ = lambda self, *args, **kw: candidate_init(self, tuple(int(n) for n in env["python_version"].split(".")))
except ImportError:
    sys.exit("this pip does not take another Python")


def only_metadata():
    """Before pip 25 even a report downloads every wheel whole. What a wheel
    depends on is in its metadata, which the index gives (PEP 658) or a few
    ranges of the wheel hold, and its digest is in the index."""
    import inspect

    from pip._internal.operations.prepare import RequirementPreparer as preparer
    from pip._internal.req.req_install import InstallRequirement as requirement
    from pip._internal.utils.direct_url_helpers import direct_url_from_link

    init, fetch, rest, dist = preparer.__init__, preparer._fetch_metadata_only, preparer.prepare_linked_requirements_more, requirement.get_dist
    if "lazy_wheel" not in inspect.signature(init).parameters:
        return

    def fetch_and_keep(self, req):
        req.only_metadata = fetch(self, req)
        return req.only_metadata

    def more(self, reqs, parallel_builds=False):
        for req in reqs:
            if getattr(req, "only_metadata", None) and req.is_wheel and req.link.hash_name == "sha256":
                req.download_info = req.download_info or direct_url_from_link(req.link, None)
                req.needs_more_preparation = False
        rest(self, [req for req in reqs if req.needs_more_preparation], parallel_builds)

    preparer.__init__ = lambda self, *args, **kw: init(self, *args, **dict(kw, lazy_wheel=True))
    preparer._fetch_metadata_only = fetch_and_keep
    preparer.prepare_linked_requirements_more = more
    requirement.get_dist = lambda self: getattr(self, "only_metadata", None) or dist(self)


def refusals():
    """Pip takes an index that refuses, or is out of order, for one that has
    nothing, and says why only to those who debug it."""
    from pip._internal.index import collector

    skip = collector._handle_get_simple_fail

    def say(link, reason, *args, **kw):
        reason = str(reason).split(" for url")[0]
        if not reason.startswith("404 "):
            print("the index refuses: " + " ".join(reason.split()), file=sys.stderr)
        skip(link, reason, *args, **kw)

    collector._handle_get_simple_fail = say


def once(ask, key):
    answers = {}

    def asked(*args, **kw):
        name = key(*args)
        if name is None or name not in answers:
            answers[name] = ask(*args, **kw)
        return answers[name]

    return asked


def ask_once():
    """A page of the index, and the metadata of a wheel, are the same for all."""
    import shutil
    import tempfile

    from pip._internal.index import collector
    from pip._internal.network import session
    from pip._internal.operations import prepare

    page, file, kept = collector._get_index_content, prepare.get_http_url, tempfile.mkdtemp()

    def parsed_once(link, *args, **kw):
        content = page(link, *args, **kw)
        if content is not None:
            object.__setattr__(content, "cache_link_parsing", True)  # frozen since pip 24.1
        return content

    def keep(link, *args, **kw):
        got = file(link, *args, **kw)
        if is_metadata(link):  # a run of pip removes its files
            got.path = shutil.copy(got.path, tempfile.mkdtemp(dir=kept))
        return got

    def is_metadata(link, *args):
        return link.url_without_fragment.endswith(".metadata") and link.url or None

    preparer = prepare.RequirementPreparer
    preparer._fetch_metadata_using_lazy_wheel = once(preparer._fetch_metadata_using_lazy_wheel, lambda self, link: link.url)
    prepare.get_http_url = once(keep, is_metadata)
    collector._get_index_content = once(parsed_once, lambda link: link.url)
    session.user_agent = once(session.user_agent, lambda: "")  # which runs programs to know it


def look_up():
    """Before pip 24.1 each of thousands of wheels of an index is compared with
    each of hundreds of tags."""
    from pip._internal.index import package_finder
    from pip._internal.models.wheel import Wheel

    if not isinstance(Wheel("a-1-py3-none-any.whl").file_tags, (set, frozenset)):
        return
    last = [(), frozenset()]

    def supported(self, tags):
        if last[0] is not tags:
            last[:] = tags, frozenset(tags)
        return not self.file_tags.isdisjoint(last[1])

    Wheel.supported = supported
    package_finder.Wheel = once(Wheel, lambda name: name)


def leave_out():
    """Most files of an index are for other platforms or no wheels, and pip takes
    a while to say so of each, for each run. It still judges what is left."""
    from itertools import product

    from pip._internal.index import package_finder
    from pip._internal.metadata.importlib import _dists
    from pip._internal.models.link import Link
    from pip._internal.models.target_python import TargetPython

    finder, every, known = package_finder.PackageFinder, package_finder.PackageFinder.evaluate_links, {}
    from_json = Link.from_json.__func__

    def tags(python):
        return frozenset(map(str, (getattr(python, "get_sorted_tags", None) or python.get_tags)()))

    def target(arguments):
        def given(option):
            return [arguments[i + 1] for i, a in enumerate(arguments) if a == option]

        version = tuple(int(n) for n in given("--python-version")[0].split("."))
        return TargetPython(platforms=given("--platform"), py_version_info=version, implementation=given("--implementation")[0])

    def may_fit(name, tags):
        parts = name[:-4].rsplit("-", 3)
        if not name.endswith(".whl") or len(parts) != 4:
            return not name.endswith((".tar.gz", ".zip"))  # pip says what it is
        return not tags.isdisjoint(map("-".join, product(*(part.split(".") for part in parts[1:]))))

    wanted = frozenset().union(*(tags(target(each["arguments"])) for each in runs))

    def parsed(cls, data, *args, **kw):
        return from_json(cls, data, *args, **kw) if may_fit(data.get("filename") or "", wanted) else None

    def evaluate(self, evaluator, links):
        mine = tags(evaluator._target_python)
        for link in links:
            if id(link) not in known:
                known[id(link)] = link, link.filename
        return every(self, evaluator, [link for link in links if may_fit(known[id(link)][1], mine)])

    finder.evaluate_links = evaluate
    Link.from_json = classmethod(parsed)
    package_finder.check_requires_python = once(package_finder.check_requires_python, lambda *args: args)
    _dists.Requirement = once(_dists.Requirement, lambda text: text)


try:
    refusals()
except (ImportError, AttributeError):
    pass  # another pip inside: it says less
for faster in ask_once, look_up, leave_out:
    try:
        faster()
    except (ImportError, AttributeError):
        pass  # another pip inside: it asks again, and is slower
try:
    only_metadata()
except (ImportError, AttributeError, TypeError, ValueError):
    pass  # another pip inside: it works, and downloads more than it needs


def gate(file):
    """Lets only files through that were uploaded before a time or are named,
    and writes down when each was (PEP 700). What this pip has no room for stays
    without a time, which counts as too young."""
    import atexit
    import datetime
    from urllib.parse import unquote, urlsplit

    from pip._internal.models.link import Link
    from pip._vendor.packaging.utils import canonicalize_name, parse_wheel_filename

    with open(file) as f:
        rule = json.load(f)
    excepted, record = set(rule["except"]), {}

    def write():
        with open(rule["record"], "w") as f:
            json.dump(record, f)

    atexit.register(write)

    def passes(name, when):
        if rule["before"] is None or (when is not None and when <= rule["before"]):
            return True
        try:
            project, version = parse_wheel_filename(name)[:2]
        except ValueError:
            return False
        given = name.split("-")[1]
        return any("%s@%s" % (canonicalize_name(project), v) in excepted for v in (str(version), given))

    def milliseconds(text):
        try:
            when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
            return when.timestamp() * 1000 if when.tzinfo else None
        except (AttributeError, ValueError):
            return None

    def file_name(link):
        return unquote(urlsplit(link.url_without_fragment).path).rsplit("/", 1)[-1]

    from_json, from_element = Link.from_json.__func__, Link.from_element.__func__

    def gated_json(cls, data, *args, **kw):
        link, when = from_json(cls, data, *args, **kw), milliseconds(data.get("upload-time"))
        if link is None or not passes(file_name(link), when):
            return None
        if when is not None:
            record[file_name(link)] = when
        return link

    def gated_element(cls, *args, **kw):
        link = from_element(cls, *args, **kw)
        return link if link is not None and passes(file_name(link), None) else None

    Link.from_json, Link.from_element = classmethod(gated_json), classmethod(gated_element)


if "BUCK2_PROTOBUF_GATE" in os.environ:
    gate(os.environ.pop("BUCK2_PROTOBUF_GATE"))

from pip._internal.cli.main import main


def run(arguments, file):
    """Returns what pip ends with, and what it says on standard error."""
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
        said.seek(0)
        return int(status or 0), said.read()


index, codes, answer = os.environ.pop("BUCK2_PROTOBUF_PIP_INDEX"), [], os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for each in runs:
    pretend(each["markers"])
    code, said = run(each["arguments"] + ["--index-url", index], each["said"])
    codes.append(code)
    if code and (b"No matching distribution found" not in said or b"the index refuses: " in said):
        break
with open(answer, "w") as f:
    json.dump(codes, f)
