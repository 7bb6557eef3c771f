//! Calls that are written to sockets by hand, as small clients and drivers of databases do.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Mutex, oneshot};

use super::request::Request;
use crate::log;

type Waiting = Arc<StdMutex<VecDeque<oneshot::Sender<()>>>>;

/// One connection for all, written to by who calls, and read by a task that hands out the answers in their order.
pub(crate) struct Multiplexed {
    writer: Mutex<OwnedWriteHalf>,
    waiting: Waiting,
}

/// Answers a request of one of these kinds. Returns whether it was of one.
pub(crate) async fn answer(kind: &str, request: &Request) -> Result<bool> {
    match kind {
        "raw" => drop(exchange(request, connect(request).await?).await?),
        "rawpool" => pooled(request).await?,
        "mux" => multiplexed(request).await?,
        "sync" => synchronous(request).await?,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn connect(request: &Request) -> Result<TcpStream> {
    Ok(TcpStream::connect(("127.0.0.1", request.shared.port)).await?)
}

fn head(name: &str) -> String {
    format!("GET /slow/{name} HTTP/1.1\r\nhost: up\r\n\r\n")
}

/// The upstream's answers end with this.
const END: &[u8] = b"\r\n\r\nslow";

async fn read_answer(from: &mut (impl AsyncRead + Unpin), left: &mut Vec<u8>) -> Result<()> {
    loop {
        if let Some(end) = left.windows(END.len()).position(|window| window == END) {
            left.drain(..end + END.len());
            return Ok(());
        }
        ensure!(from.read_buf(left).await? > 0, "the connection ended");
    }
}

async fn exchange(request: &Request, mut socket: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let (name, mut call) = request.begin();
    socket.write_all(head(&name).as_bytes()).await?;
    read_answer(&mut socket, &mut Vec::new()).await?;
    call.answered();
    Ok(())
}

/// Takes a connection, or makes one, and gives it back.
async fn pooled(request: &Request) -> Result<()> {
    let pool = || request.shared.raw_pool.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = pool().pop();
    let mut socket = match kept {
        Some(socket) => socket,
        None => connect(request).await?,
    };
    exchange(request, &mut socket).await?;
    pool().push(socket);
    Ok(())
}

async fn multiplexed(request: &Request) -> Result<()> {
    let shared =
        request.shared.multiplexed.get_or_try_init(async || anyhow::Ok(start(connect(request).await?))).await?;
    let (name, mut call) = request.begin();
    let (sender, answer) = oneshot::channel();
    {
        let mut writer = shared.writer.lock().await;
        shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(sender);
        writer.write_all(head(&name).as_bytes()).await?;
    }
    answer.await.context("the reader is gone")?;
    call.answered();
    Ok(())
}

fn start(socket: TcpStream) -> Multiplexed {
    let (mut reader, writer) = socket.into_split();
    let waiting = Waiting::default();
    let waits = Arc::clone(&waiting);
    tokio::spawn(async move {
        log::driver("mux");
        let mut left = Vec::new();
        while read_answer(&mut reader, &mut left).await.is_ok() {
            let next = waits.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            // Who asked may have gone.
            let _sent = next.map(|next| next.send(()));
        }
    });
    Multiplexed { writer: Mutex::new(writer), waiting }
}

/// A blocking client on a thread that may block.
async fn synchronous(request: &Request) -> Result<()> {
    let request = request.clone();
    let blocking = move || {
        request.is_served_here();
        let (name, mut call) = request.begin();
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", request.shared.port))?;
        socket.write_all(head(&name).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes())?;
        socket.read_to_end(&mut Vec::new())?;
        call.answered();
        anyhow::Ok(())
    };
    tokio::task::spawn_blocking(blocking).await?
}
