# Asks the keyring that pip is configured with (keyring-provider) for the
# credential of an index, as pip does: for its URL, then for its host. Read is
# what to ask as JSON, written is {"user": ..., "password": ...} or null.
import json
import sys

from pip._internal.network import auth

ask = json.load(sys.stdin)
try:
    provider = auth.get_keyring_provider(ask["provider"])
except AttributeError:
    sys.exit("this pip is older than 23.1 and has no keyring-provider")
found = None
for where in ask["url"], ask["host"]:
    found = found or provider.get_auth_info(where, ask["user"] or None)
json.dump(found and {"user": found[0], "password": found[1]}, sys.stdout)
