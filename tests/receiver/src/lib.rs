//! An OTLP backend for tests: one port for gRPC and HTTP, with or without TLS. It keeps what it gets, and
//! answers as it is told to.

mod answer;
mod grpc;
mod http1;
mod serve;
mod store;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use answer::Answer;
pub use store::Received;

use store::Store;

/// A running backend; it ends when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    store: Arc<Store>,
    thread: Option<std::thread::JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

/// How to run a backend.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port; 0 is any that is free.
    pub port: u16,
    /// The answers to the first requests, in turn. All others are accepted.
    pub answers: Vec<Answer>,
    /// TLS, if it is wanted.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Receiver {
    /// One that accepts everything.
    ///
    /// # Errors
    ///
    /// If it cannot listen on the loopback interface.
    pub fn start() -> io::Result<Self> {
        Self::start_with(Options::default())
    }

    /// One that answers like this at first.
    ///
    /// # Errors
    ///
    /// As [`Receiver::start`].
    pub fn answering(answers: impl IntoIterator<Item = Answer>) -> io::Result<Self> {
        Self::start_with(Options { answers: answers.into_iter().collect(), ..Options::default() })
    }

    /// The same with all options.
    ///
    /// # Errors
    ///
    /// As [`Receiver::start`].
    pub fn start_with(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)))?;
        let address = listener.local_addr()?;
        let store = Arc::new(Store::new(options.answers));
        let (stop, stopped) = oneshot::channel();
        let tls = options.tls.map(tokio_rustls::TlsAcceptor::from);
        let serving = serve::serve(listener, tls, Arc::clone(&store));
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("receiver".to_owned()).spawn(work)?;
        Ok(Self { address, store, thread: Some(thread), stop: Some(stop) })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What came so far, whatever it was answered.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.store.received()
    }

    /// Waits until this many spans were accepted, or for as long as a slow machine may take; returns all
    /// that were.
    #[must_use]
    pub fn spans(&self, at_least: usize) -> Vec<opentelemetry_proto::tonic::trace::v1::Span> {
        self.store.spans(at_least)
    }

    /// Waits until this many requests came, whatever they were answered, or for as long as a slow machine
    /// may take.
    pub fn requests(&self, at_least: usize) -> usize {
        self.store.requests(at_least)
    }

    /// Answers one request that waits for it, now or later.
    pub fn let_one_through(&self) {
        self.store.gate.add_permits(1);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // What it panicked with, if it did, has been printed.
            let _panicked = thread.join();
        }
    }
}
