//! What the handlers share, and a request of this service with what it makes.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use reqwest::Client;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::actors::{Asks, Buffered};
use super::meeting::Meeting;
use super::raw::Multiplexed;
use super::shared::{Cache, Flight};
use crate::log;

/// Everything that outlives a request.
pub(crate) struct Shared {
    pub(crate) port: u16,
    /// Pooled, over HTTP/1.
    http1: Client,
    /// Pooled, over HTTP/2.
    http2: Client,
    /// Over HTTP/2, to the port that takes one stream at a time.
    pub(crate) limited: Client,
    pub(crate) limited_port: u16,
    /// Keeps no connection.
    pub(crate) poolless: Client,
    pub(crate) channel: OnceCell<Channel>,
    pub(crate) actor: OnceCell<Asks>,
    pub(crate) busy_actor: OnceCell<Asks>,
    pub(crate) one_at_a_time: Semaphore,
    pub(crate) buffer: OnceCell<Buffered>,
    pub(crate) raw_pool: Mutex<Vec<TcpStream>>,
    pub(crate) multiplexed: OnceCell<Multiplexed>,
    pub(crate) flight: Mutex<Option<Flight>>,
    pub(crate) cache: OnceCell<Cache>,
    pub(crate) meeting: Meeting,
}

impl Shared {
    pub(crate) fn new(port: u16, limited_port: u16) -> Result<Self> {
        let http2 = || Client::builder().no_proxy().http2_prior_knowledge().build();
        Ok(Self {
            port,
            http1: Client::builder().no_proxy().build()?,
            http2: http2()?,
            limited: http2()?,
            limited_port,
            poolless: Client::builder().no_proxy().pool_max_idle_per_host(0).build()?,
            channel: OnceCell::new(),
            actor: OnceCell::new(),
            busy_actor: OnceCell::new(),
            one_at_a_time: Semaphore::new(1),
            buffer: OnceCell::new(),
            raw_pool: Mutex::default(),
            multiplexed: OnceCell::new(),
            flight: Mutex::new(None),
            cache: OnceCell::new(),
            meeting: Meeting::default(),
        })
    }
}

/// A request that is served, as its handler, its tasks and its calls hold it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) shared: Arc<Shared>,
    rid: Arc<str>,
    /// How many calls it has made.
    calls: Arc<AtomicU32>,
    http: Client,
}

impl Request {
    pub(crate) fn new(shared: Arc<Shared>, kind: &str, rid: String) -> Self {
        let http = if kind.ends_with("-h2") { &shared.http2 } else { &shared.http1 }.clone();
        Self { shared, rid: rid.into(), calls: Arc::default(), http }
    }

    /// Begins a call: its name, which stands at the end of its path, and its place in the truth.
    pub(crate) fn begin(&self) -> (String, log::Call) {
        let name = format!("{}.{}", self.rid, self.calls.fetch_add(1, Ordering::Relaxed));
        (name.clone(), log::Call::new(name))
    }

    /// A call by the shared pooled client, to be polled by anybody. Returns the body of the answer.
    pub(crate) fn call(&self, what: &str) -> impl Future<Output = Result<String>> + Send + use<> {
        self.call_by(&self.http, self.shared.port, what, None)
    }

    /// The same by another client, to another port, with an ID.
    pub(crate) fn call_by(
        &self,
        client: &Client,
        port: u16,
        what: &str,
        id: Option<&str>,
    ) -> impl Future<Output = Result<String>> + Send + use<> {
        let (name, mut call) = self.begin();
        let mut ask = client.get(format!("http://127.0.0.1:{port}/{what}/{name}"));
        if let Some(id) = id {
            ask = ask.header("x-request-id", id);
        }
        async move {
            let answer = ask.send().await?;
            call.answered();
            Ok(answer.text().await?)
        }
    }

    /// The head of an answer, the body of which is still to come.
    pub(crate) async fn call_head(&self, what: &str) -> Result<reqwest::Response> {
        let (name, mut call) = self.begin();
        let answer = self.http.get(format!("http://127.0.0.1:{}/{what}/{name}", self.shared.port)).send().await?;
        call.answered();
        Ok(answer)
    }

    /// Spawns a task that is this request's alone.
    pub(crate) fn spawn<F, W>(&self, work: W) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
        W: FnOnce(Self) -> F + 'static,
    {
        tokio::spawn(self.task(work))
    }

    /// The future of such a task.
    pub(crate) fn task<F, W>(&self, work: W) -> impl Future<Output = F::Output> + use<F, W>
    where
        F: Future,
        W: FnOnce(Self) -> F,
    {
        let rid = Arc::clone(&self.rid);
        let work = work(self.clone());
        async move {
            log::child(&rid);
            work.await
        }
    }

    /// Notes that this thread, which blocks, works for it alone.
    pub(crate) fn is_served_here(&self) {
        log::child(&self.rid);
    }
}
