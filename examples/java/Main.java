import com.example.notes.Note;
import com.google.protobuf.Timestamp;

/** Writes and reads a note with the code that protoc generated. */
class Main {
  public static void main(String[] args) throws Exception {
    Note note =
        Note.newBuilder()
            .setTitle("hello")
            .setWritten(Timestamp.newBuilder().setSeconds(1767323045))
            .putVotes("up", 3)
            .putVotes("down", -1)
            .addReplies(Note.newBuilder().setTitle("hello yourself"))
            .build();
    Note read = Note.parseFrom(note.toByteArray());
    if (!read.equals(note) || read.getVotesOrThrow("down") != -1) {
      throw new AssertionError(read);
    }
    System.out.println("java: ok");
  }
}
