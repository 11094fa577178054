//! A server that prints its port, and serves until its standard input ends.

use std::{io, time::SystemTime};

use greet_rs::greet::greeter_server::{self, GreeterServer};
use greet_rs::greet::{Greeting, Person};
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};

struct Greeter;

#[tonic::async_trait]
impl greeter_server::Greeter for Greeter {
    async fn greet(&self, person: Request<Person>) -> Result<Response<Greeting>, Status> {
        Ok(Response::new(Greeting {
            text: format!("Hello, {}", person.into_inner().name),
            language: "Rust".into(),
            at: Some(SystemTime::now().into()),
        }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    println!("{}", incoming.local_addr()?.port());
    let server = Server::builder().add_service(GreeterServer::new(Greeter));
    tokio::spawn(server.serve_with_incoming(incoming));
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
