//! The client of HTTP/2: several tasks, each of which asks for all routes so often, on one connection.

use std::io;

use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

const ROUTES: [&str; 7] = ["serve", "spawn", "block", "late", "flush", "actor", "pool"];
const CLIENTS: usize = 4;
const TIMES: usize = 16;

/// Asks the service at this port.
pub(crate) async fn ask_all(port: &str) -> io::Result<()> {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new());
    let clients: Vec<_> =
        (0..CLIENTS).map(|number| tokio::spawn(ask(client.clone(), number, port.to_owned()))).collect();
    for client in clients {
        client.await??;
    }
    Ok(())
}

async fn ask(client: Client<HttpConnector, Empty<Bytes>>, number: usize, port: String) -> io::Result<()> {
    for time in 0..TIMES {
        for route in ROUTES {
            let request = Request::get(format!("http://127.0.0.1:{port}/{route}"))
                .header("x-request-id", format!("{number}-{time}-{route}"))
                .header("x-late", format!("{number}-{time}-late"))
                .body(Empty::new())
                .map_err(io::Error::other)?;
            let response = client.request(request).await.map_err(io::Error::other)?;
            if !response.status().is_success() {
                return Err(io::Error::other(response.status().to_string()));
            }
            response.into_body().collect().await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}
