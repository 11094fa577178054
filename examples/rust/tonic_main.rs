//! Asks a server for a note with the code that protoc-gen-tonic generated.

#[path = "gen/mod.rs"]
mod gen;

use gen::example::notes::notes_client::NotesClient;
use gen::example::notes::notes_server::{Notes, NotesServer};
use gen::example::notes::Note;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{transport::Server, Request, Response, Status};

struct Answers;

#[tonic::async_trait]
impl Notes for Answers {
    async fn put(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        let note = request.into_inner();
        Ok(Response::new(Note {
            title: format!("Re: {}", note.title),
            replies: vec![note],
            ..Default::default()
        }))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        Server::builder()
            .add_service(NotesServer::new(Answers))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let note = Note {
        title: "hello".into(),
        votes: [("up".to_string(), 3)].into(),
        ..Default::default()
    };
    let mut client = NotesClient::connect(format!("http://{address}")).await.unwrap();
    let answer = client.put(note.clone()).await.unwrap().into_inner();
    assert_eq!(answer.title, "Re: hello");
    assert_eq!(answer.replies, [note]);
    println!("tonic: ok");
}
