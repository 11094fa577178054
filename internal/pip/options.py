# Prints, as JSON, which pip this is and how it is configured to reach its index: what
# files, PIP_ variables and pip's own defaults make together. "settings" is null where
# pip's inside is another one, or a value is not understood; what pip says of that goes
# to stderr.
import json
import sys

import pip


def settings():
    try:
        from pip._internal.commands import create_command

        values = create_command("install").parser.get_default_values()
    except (Exception, SystemExit):
        return None
    keys = "index_url no_index cert client_cert proxy keyring_provider"
    said = {key: getattr(values, key, None) for key in keys.split()}
    said["no_index"] = bool(said["no_index"])  # a number if a file has it
    return said


print(json.dumps({"version": pip.__version__, "program": sys.executable, "settings": settings()}))
