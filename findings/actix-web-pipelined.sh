#!/usr/bin/env bash
# actix-web 4.18.1 writes the response to a pipelined request only after the handler of the next one was polled.
#
# Two HTTP/1.1 requests come in one write. The first is answered at once. The second one's handler waits, in its first
# poll, until the client has the first response, at most two seconds. With actix-web it waits in vain: the response is
# complete, but stays in the buffer until that poll is over. hyper 1.x, by contrast, starts on the next request when the
# response before it has been written.
#
# Who profiles: between the heads of two requests on one connection, the work of both may run. Who serves: a handler that
# blocks before its first await also holds up the response before its own.
#
# Seen with actix-web 4.18.1, actix-http as it resolves, rustc 1.95.0, on Linux 6.18 (2026-11-30). Needs cargo.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "pipelined"
version = "0.0.0"
edition = "2024"
[dependencies]
actix-web = { version = "=4.18.1", default-features = false }
[workspace]
TOML
cat > "$folder/src/main.rs" <<'RUST'
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpServer, web};

async fn second(has_first: web::Data<Mutex<Receiver<()>>>) -> &'static str {
    match has_first.lock().unwrap().recv_timeout(Duration::from_secs(2)) {
        Ok(()) => "written before",
        Err(_) => "not written before",
    }
}

fn ask(address: std::net::SocketAddr, got_first: std::sync::mpsc::Sender<()>) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    let requests = "GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    connection.write_all(requests.as_bytes()).unwrap();
    let (mut all, mut piece) = (String::new(), [0; 4096]);
    loop {
        let n = connection.read(&mut piece).unwrap();
        if n == 0 {
            return all;
        }
        all += std::str::from_utf8(&piece[..n]).unwrap();
        let _ = got_first.send(());
    }
}

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (got_first, has_first) = channel();
    let client = std::thread::spawn(move || ask(address, got_first));
    let has_first = web::Data::from(Arc::new(Mutex::new(has_first)));
    actix_web::rt::System::new().block_on(async move {
        let app = move || {
            App::new()
                .app_data(has_first.clone())
                .route("/first", web::get().to(async || "first"))
                .route("/second", web::get().to(second))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let answers = actix_web::rt::task::spawn_blocking(move || client.join().unwrap()).await.unwrap();
        println!("the first response was {}", answers.rsplit("\r\n\r\n").next().unwrap());
        handle.stop(false).await;
    });
}
RUST
cargo run --quiet --manifest-path "$folder/Cargo.toml" | tee "$folder/seen"
grep -qx 'the first response was not written before' "$folder/seen" || { echo "this has changed"; exit 1; }
