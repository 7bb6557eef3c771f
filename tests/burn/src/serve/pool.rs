//! A client with a pool of connections, each with a task of its own that hyper-util spawns where the first request
//! needs it; and the server that it asks, on a thread outside of tokio. The connections burn at each write.

use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use http::Uri;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::{
    Client,
    connect::{Connected, Connection},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower_service::Service;

use super::ledger::{Ledger, Whose};
use crate::work::Function;

#[derive(Debug)]
pub(super) struct Pool {
    client: Client<Connector, Empty<Bytes>>,
    address: SocketAddr,
}

impl Pool {
    pub(super) fn start(ledger: Arc<Ledger>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A client that goes away is no concern of anyone's.
                thread::spawn(move || drop(answer(connection)));
            }
        });
        let client = Client::builder(TokioExecutor::new()).build(Connector { ledger, address });
        Ok(Self { client, address })
    }

    pub(super) async fn ask(&self) {
        let Ok(uri) = format!("http://{}/up", self.address).parse() else { return };
        if let Ok(response) = self.client.get(uri).await {
            // A broken one would show as a connection that burns less.
            drop(response.into_body().collect().await);
        }
    }
}

/// Answers each request as it comes whole.
fn answer(mut connection: std::net::TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    let mut filled = 0;
    loop {
        match connection.read(&mut buffer[filled..])? {
            0 => return Ok(()),
            len => filled += len,
        }
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
            filled = 0;
        }
    }
}

#[derive(Clone, Debug)]
struct Connector {
    ledger: Arc<Ledger>,
    address: SocketAddr,
}

impl Service<Uri> for Connector {
    type Response = Burning;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Burning>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { ledger, address } = self.clone();
        Box::pin(async move { Ok(Burning { stream: TokioIo::new(TcpStream::connect(address).await?), ledger }) })
    }
}

/// A connection whose task burns.
#[derive(Debug)]
struct Burning {
    stream: TokioIo<TcpStream>,
    ledger: Arc<Ledger>,
}

impl Connection for Burning {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Burning {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl Write for Burning {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.ledger.burn(Function::Foreign, 2, &Whose::nobody("pool"));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
