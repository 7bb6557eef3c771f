//! Connections that are not pooled: the request's own.

use anyhow::Result;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use reqwest::Client;
use tokio::net::TcpStream;

use super::request::Request;

type Made = (SendRequest<String>, Connection<TokioIo<TcpStream>, String>);

/// Answers a request of one of these kinds. Returns whether it was of one.
pub(crate) async fn answer(kind: &str, request: &Request) -> Result<bool> {
    match kind {
        "own" => spawned(request).await?,
        "inline" => inline(request).await?,
        "newclient" => {
            drop(request.call_by(&Client::builder().no_proxy().build()?, request.shared.port, "slow", None).await?)
        }
        "nopool" => drop(request.call_by(&request.shared.poolless, request.shared.port, "slow", None).await?),
        _ => return Ok(false),
    }
    Ok(true)
}

async fn connect(request: &Request) -> Result<Made> {
    let socket = TcpStream::connect(("127.0.0.1", request.shared.port)).await?;
    Ok(handshake(TokioIo::new(socket)).await?)
}

fn ask(name: &str) -> Result<hyper::Request<String>> {
    Ok(hyper::Request::get(format!("/slow/{name}")).header("host", "up").body(String::new())?)
}

/// The connection is driven by a task that the handler spawns.
async fn spawned(request: &Request) -> Result<()> {
    let (mut sender, connection) = connect(request).await?;
    request.spawn(|_| async { drop(connection.await) });
    let (name, mut call) = request.begin();
    sender.send_request(ask(&name)?).await?;
    call.answered();
    Ok(())
}

/// The connection is driven by the handler itself, beside the call.
async fn inline(request: &Request) -> Result<()> {
    let (mut sender, connection) = connect(request).await?;
    let (name, mut call) = request.begin();
    tokio::select! {
        answer = sender.send_request(ask(&name)?) => {
            answer?;
            call.answered();
        }
        _ = connection => {}
    }
    Ok(())
}
