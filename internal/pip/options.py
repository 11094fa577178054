# Prints how this pip is configured to reach its index, as JSON: what files,
# PIP_ variables and pip's own defaults make together.
import json
from pip._internal.commands import create_command

values = create_command("install").parser.get_default_values()
keys = "index_url no_index cert client_cert proxy keyring_provider"
said = {key: getattr(values, key, None) for key in keys.split()}
said["no_index"] = bool(said["no_index"])  # a number if a file has it
print(json.dumps(said))
