//! A client of the server at HOST:PORT, which is its argument.

use greet_rs::greet::{greeter_client::GreeterClient, Person};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = std::env::args().nth(1).ok_or("no HOST:PORT")?;
    let mut client = GreeterClient::connect(format!("http://{server}")).await?;
    let greeting = client
        .greet(Person {
            name: "Rust".into(),
        })
        .await?
        .into_inner();
    greeting.at.ok_or("no time")?;
    println!("{}, from {}", greeting.text, greeting.language);
    Ok(())
}
