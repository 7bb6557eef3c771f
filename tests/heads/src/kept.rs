//! Connections whose bytes are kept, as the system calls of their sockets moved them.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

static ALL: Mutex<Vec<Arc<Mutex<Bytes>>>> = Mutex::new(Vec::new());

#[derive(Debug, Default)]
struct Bytes {
    descriptor: i32,
    read: Vec<u8>,
    written: Vec<u8>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All connections, in the order in which they were accepted.
pub(crate) fn all() -> Vec<Value> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let of = |bytes: &Arc<Mutex<Bytes>>| {
        let bytes = lock(bytes);
        json!({ "descriptor": bytes.descriptor, "read": hex(&bytes.read), "written": hex(&bytes.written) })
    };
    lock(&ALL).iter().map(of).collect()
}

/// Accepts kept connections.
#[derive(Debug)]
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) async fn bind() -> io::Result<Self> {
        TcpListener::bind("127.0.0.1:0").await.map(Self)
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl axum::serve::Listener for Listener {
    type Addr = SocketAddr;
    type Io = Kept;

    async fn accept(&mut self) -> (Kept, SocketAddr) {
        loop {
            let Ok((stream, address)) = self.0.accept().await else { continue };
            let bytes = Arc::new(Mutex::new(Bytes { descriptor: stream.as_raw_fd(), ..Bytes::default() }));
            lock(&ALL).push(Arc::clone(&bytes));
            return (Kept { stream, bytes }, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Kept {
    stream: TcpStream,
    bytes: Arc<Mutex<Bytes>>,
}

impl AsyncRead for Kept {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        lock(&self.bytes).read.extend(&buf.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Kept {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(len)) = polled {
            lock(&self.bytes).written.extend(&buf[..len]);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(len)) = polled {
            lock(&self.bytes).written.extend(bufs.iter().flat_map(|buf| buf.iter()).take(len));
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
