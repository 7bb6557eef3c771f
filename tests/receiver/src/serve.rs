//! Connections, and which protocol a request speaks.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;

use crate::store::Store;
use crate::{grpc, http1};

/// What a connection's requests share.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) store: Arc<Store>,
    /// Closes the connection.
    pub(crate) close: Arc<Notify>,
}

pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, store: Arc<Store>) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection = Connection { store: Arc::clone(&store), close: Arc::default() };
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => serve_connection(stream, connection).await,
                // One that does not trust us goes away.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve_connection(stream, connection).await;
                    }
                }
            }
        });
    }
}

async fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: Connection) {
    let close = Arc::clone(&connection.close);
    let service = service_fn(move |request| answer(request, connection.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // Whether the other side closed it well is its affair.
        _closed = serving => {}
        () = close.notified() => {}
    }
}

async fn answer(request: Request<Incoming>, connection: Connection) -> Result<Response<Body>, Infallible> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    Ok(match kind {
        Some(kind) if kind.starts_with("application/grpc") => grpc::answer(request, connection).await,
        _ => http1::answer(request, connection).await,
    })
}
