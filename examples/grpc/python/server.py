"""A server that prints its port, and serves until its standard input ends."""

import sys
from concurrent import futures

import grpc

from greet import greet_pb2, greet_pb2_grpc


class Greeter(greet_pb2_grpc.GreeterServicer):
    def Greet(self, request, context):
        greeting = greet_pb2.Greeting(text="Hello, " + request.name, language="Python")
        greeting.at.GetCurrentTime()
        return greeting


server = grpc.server(futures.ThreadPoolExecutor())
greet_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
server.stop(None)
