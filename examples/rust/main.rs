//! Writes and reads a note with the code that protoc-gen-prost generated.

#[path = "gen/mod.rs"]
mod gen;

use gen::example::notes::Note;
use prost::Message;

fn main() {
    let note = Note {
        title: "hello".into(),
        votes: [("up".to_string(), 3), ("down".to_string(), -1)].into(),
        replies: vec![Note {
            title: "hello yourself".into(),
            ..Default::default()
        }],
    };
    let read = Note::decode(note.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read, note);
    println!("rust: ok");
}
