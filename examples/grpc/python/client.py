"""A client of the server at HOST:PORT, which is its argument."""

import sys

import grpc

from greet import greet_pb2, greet_pb2_grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    greeting = greet_pb2_grpc.GreeterStub(channel).Greet(greet_pb2.Person(name="Python"))
if not greeting.HasField("at"):
    sys.exit("no time")
print(greeting.text + ", from " + greeting.language)
