"""Writes and reads a note with the code that protoc generated."""

from examples.python import note_pb2

note = note_pb2.Note(title="hello", votes={"up": 3, "down": -1})
note.written.FromJsonString("2026-01-02T03:04:05Z")
note.replies.add(title="hello yourself")

read = note_pb2.Note.FromString(note.SerializeToString())
assert read == note, read
assert read.written.seconds == 1767323045
assert read.votes["down"] == -1
assert read.replies[0].title == "hello yourself"
print("python: ok")
