# Runs pip with environment markers of another platform, which no option of pip
# can give: python -c THIS MARKERS-AS-JSON ARGUMENTS-OF-PIP...
import json
import os
import sys

from pip._vendor.packaging import markers

env = dict(markers.default_environment())
env.update(json.loads(sys.argv.pop(1)))
markers.default_environment = lambda: dict(env)
for key in ("sys_platform", "platform_machine", "python_version"):
    for value, want in ((env[key], True), ("other", False)):
        if markers.Marker("%s == '%s'" % (key, value)).evaluate() != want:
            sys.exit("this pip does not take the markers of another platform")


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


try:
    refusals()
except (ImportError, AttributeError):
    pass  # another pip inside: it says less
try:
    only_metadata()
except (ImportError, AttributeError, TypeError, ValueError):
    pass  # another pip inside: it works, and downloads more than it needs
sys.argv += ["--index-url", os.environ.pop("BUCK2_PROTOBUF_PIP_INDEX")]

from pip._internal.cli.main import main

sys.exit(main())
