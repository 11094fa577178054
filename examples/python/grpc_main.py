"""Asks a server for a note with the code that grpcio-tools generated."""

from concurrent import futures

import grpc

from examples.python import note_pb2, note_pb2_grpc


class Notes(note_pb2_grpc.NotesServicer):
    def Put(self, request, context):
        return note_pb2.Note(title="Re: " + request.title, replies=[request])


server = grpc.server(futures.ThreadPoolExecutor())
note_pb2_grpc.add_NotesServicer_to_server(Notes(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
note = note_pb2.Note(title="hello", votes={"up": 3})
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    answer = note_pb2_grpc.NotesStub(channel).Put(note)
assert answer.title == "Re: hello", answer
assert answer.replies[0] == note, answer
server.stop(None)
print("grpc: ok")
