//! Writes and reads a note as JSON with the code that protoc-gen-prost-serde
//! generated.

#[path = "gen/mod.rs"]
mod gen;

use gen::example::notes::Note;

fn main() {
    let note = Note {
        title: "hello".into(),
        votes: [("up".to_string(), 3)].into(),
        ..Default::default()
    };
    let json = serde_json::to_string(&note).unwrap();
    // As proto3 has it: a 64-bit number is a string.
    assert_eq!(json, r#"{"title":"hello","votes":{"up":"3"}}"#);
    assert_eq!(serde_json::from_str::<Note>(&json).unwrap(), note);
    println!("serde: ok");
}
