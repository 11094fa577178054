"""Writes and reads a note with the dataclasses that betterproto2 generated."""

from gen.example.python import Note

note = Note(title="hello", votes={"up": 3, "down": -1}, replies=[Note(title="hello yourself")])
read = Note.parse(bytes(note))
assert read == note, read
assert read.votes["down"] == -1
print("betterproto2: ok")
