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
sys.argv += ["--index-url", os.environ.pop("BUCK2_PROTOBUF_PIP_INDEX")]

from pip._internal.cli.main import main

sys.exit(main())
