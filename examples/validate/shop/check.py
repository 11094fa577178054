"""Reads an order in JSON from its argument, and prints the rules that it breaks."""

import sys

import protovalidate
from google.protobuf import json_format

from shop import shop_pb2

order = json_format.Parse(sys.argv[1], shop_pb2.Order())
try:
    protovalidate.validate(order)
except protovalidate.ValidationError as error:
    for violation in error.violations:
        print(violation.proto.rule_id)
    sys.exit(1)
print("valid")
