//! The exporter's thread: batch by batch, until the queue is closed and empty, or patience is at an end.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::queue::{SpanQueue, around};
use super::retry::Backoff;
use super::settings::Settings;
use super::transport::Transport;
use super::verdict::Verdict;

/// The time for which one batch is tried while the run goes on.
const MAX_TRIES: Duration = Duration::from_secs(300);
/// A backend that asks for a pause of up to this long is waited for even at the end.
const LONGEST_AWAITED: Duration = Duration::from_secs(60);
/// The time for which the end waits for whoever reads the lines.
const LINES_PATIENCE: Duration = Duration::from_secs(10);

/// Sends spans to a backend.
#[derive(Debug)]
pub struct Exporter {
    shared: Arc<Shared>,
    account: oneshot::Receiver<Account>,
}

/// The destination of spans.
pub enum Destination {
    /// A backend.
    Backend(Box<Settings>),
    /// One request a line, as JSON.
    Lines(Box<dyn Write + Send>),
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Backend(settings) => f.debug_tuple("Backend").field(settings).finish(),
            Self::Lines(_) => f.write_str("Lines"),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: SpanQueue,
    /// The queue was closed, or everything abandoned: from here on patience is short.
    ending: Notify,
    /// The time of that.
    ended: OnceLock<Instant>,
    /// Says that whoever waits for the end does so no longer.
    abandoned: AtomicBool,
}

/// All that starting takes, read while the privileges for it are still there.
#[derive(Debug)]
pub struct Prepared {
    patience: Duration,
    shown: String,
    transport: Transport,
}

impl Prepared {
    /// Reads certificates; starts nothing, and connects to nothing.
    ///
    /// # Errors
    ///
    /// A certificate or key that cannot be used.
    pub fn new(to: Destination) -> Result<Self> {
        Ok(match to {
            Destination::Backend(settings) => {
                Self { patience: settings.timeout, shown: settings.shown(), transport: Transport::new(&settings)? }
            }
            Destination::Lines(lines) => Self {
                patience: LINES_PATIENCE,
                shown: "standard output".to_owned(),
                transport: Transport::lines(lines),
            },
        })
    }

    /// The address, or what else it is, without what may be secret in it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// What the system refused.
    pub fn start(self, envelope: ResourceSpans) -> Result<Exporter> {
        let Self { patience, shown, transport } = self;
        let shared = Arc::new(Shared::default());
        let (report, account) = oneshot::channel();
        let mut worker = Worker {
            shared: Arc::clone(&shared),
            envelope,
            transport,
            patience,
            shown,
            account: Account::default(),
            alive: Instant::now(),
            in_trouble: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the exporter")?;
        let work = move || {
            runtime.block_on(worker.work());
            // A name that is still being resolved is not waited for.
            runtime.shutdown_background();
            // Whoever asked may be gone.
            drop(report.send(worker.account));
        };
        // It ends by itself, after the queue is closed or this is dropped.
        std::thread::Builder::new().name("otlp".to_owned()).spawn(work).context("cannot start the exporter")?;
        Ok(Exporter { shared, account })
    }
}

impl Exporter {
    /// Starts the thread. Nothing is sent, and no connection made, before there is a span.
    ///
    /// # Errors
    ///
    /// A certificate or key that cannot be used, or what the system refused.
    pub fn start(to: Destination, envelope: ResourceSpans) -> Result<Self> {
        Prepared::new(to)?.start(envelope)
    }

    /// Hands over a span. Never waits: without room it is dropped and counted.
    pub fn offer(&self, span: Span) {
        self.shared.queue.offer(span);
    }

    /// Hands over a span, waiting for room as long as the exporter has not given up.
    pub fn put(&self, span: Span) {
        self.shared.queue.put(span);
    }

    /// From here on somebody waits: the exporter gives up once the backend has shown no sign of life for
    /// as long as one attempt may take.
    pub fn hurry(&self) {
        self.shared.ended.get_or_init(Instant::now);
        self.shared.ending.notify_one();
    }

    /// Another way into the queue, which also closes it.
    #[must_use]
    pub fn inlet(&self) -> Inlet {
        Inlet(Arc::clone(&self.shared))
    }

    /// Nothing more is sent, and nothing more taken.
    pub fn abandon(&self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
        self.hurry();
        self.shared.queue.close();
    }

    /// Waits, after the queue was closed, until everything is sent or given up. May be dropped and called
    /// again.
    pub async fn closed(&mut self) -> Account {
        let account = (&mut self.account).await.unwrap_or_else(|_| {
            let mut account = Account::default();
            account.lose("the exporter's thread has failed", self.shared.queue.clear());
            account
        });
        let mut dropped = Account::default();
        dropped.lose("there was no room for them, as the backend was too slow", self.shared.queue.dropped());
        account.and(&dropped)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// A way into an exporter's queue for one who may wait.
#[derive(Debug)]
pub struct Inlet(Arc<Shared>);

impl Inlet {
    /// Hands over a span, waiting for room as long as the exporter has not given up.
    pub fn put(&self, span: Span) {
        self.0.queue.put(span);
    }
}

impl Drop for Inlet {
    /// No more spans come.
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

struct Worker {
    shared: Arc<Shared>,
    envelope: ResourceSpans,
    transport: Transport,
    /// The time for which the end of the run waits for a sign of life.
    patience: Duration,
    shown: String,
    account: Account,
    /// The backend's last sign of life.
    alive: Instant,
    /// `true` if the last attempt failed, which has been reported.
    in_trouble: bool,
}

impl Worker {
    async fn work(&mut self) {
        while let Some(batch) = self.shared.queue.next().await {
            self.deliver(batch).await;
            if self.is_over() {
                self.shared.queue.close();
                let left = self.shared.queue.clear();
                self.account.lose("they were still waiting when the end was reached", left);
            }
        }
    }

    /// Sends a batch, in halves where it is too large.
    async fn deliver(&mut self, batch: Vec<Span>) {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            match self.attempts(&part).await {
                Verdict::Accepted { rejected, message } => {
                    let rejected = rejected.min(part.len() as u64);
                    self.account.accepted += part.len() as u64 - rejected;
                    self.account.lose(&format!("the backend rejected them: {message}"), rejected);
                    if rejected == 0 && !message.is_empty() {
                        self.account.warn(&message);
                    }
                }
                Verdict::TooLarge { .. } if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Verdict::TooLarge { why } | Verdict::Refused { why } => {
                    self.report(&why, "not trying these again");
                    self.account.lose(&why, part.len() as u64);
                }
                Verdict::Later { why, .. } => self.account.lose(&why, part.len() as u64),
            }
        }
    }

    /// Tries until there is an answer, or no more time.
    async fn attempts(&mut self, spans: &[Span]) -> Verdict {
        let request = around(&self.envelope, spans.to_vec());
        let started = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            let verdict = self.attempt(&request).await;
            let Verdict::Later { after, why } = &verdict else {
                self.alive = Instant::now();
                self.in_trouble &= !matches!(verdict, Verdict::Accepted { .. });
                return verdict;
            };
            self.report(why, "trying again");
            let wait = backoff.wait(*after, fastrand::f64());
            if after.is_some_and(|after| after <= LONGEST_AWAITED) {
                self.alive = Instant::now() + wait;
            }
            if started.elapsed() + wait > MAX_TRIES || !self.wait(wait).await {
                return verdict;
            }
        }
    }

    /// One attempt, cut short by the end of all patience.
    async fn attempt(&mut self, request: &ExportTraceServiceRequest) -> Verdict {
        let shared = Arc::clone(&self.shared);
        let deadline = self.deadline();
        let abandoned = async {
            while !shared.abandoned.load(Ordering::Relaxed) {
                shared.ending.notified().await;
            }
        };
        let too_late = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let why = tokio::select! {
            verdict = self.transport.send(request) => return verdict,
            () = abandoned => "interrupted",
            () = too_late => "no answer before the end",
        };
        Verdict::Later { after: None, why: why.to_owned() }
    }

    /// Returns when to give up, if the end has come: when the backend has shown no sign of life for so long.
    fn deadline(&self) -> Option<Instant> {
        self.shared.ended.get().map(|ended| *ended.max(&self.alive) + self.patience)
    }

    /// Waits, and says whether another attempt is to be made.
    async fn wait(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            let deadline = self.deadline();
            if self.is_over() || deadline.is_some_and(|deadline| until > deadline) {
                return false;
            }
            let shared = Arc::clone(&self.shared);
            tokio::select! {
                () = sleep(until.saturating_duration_since(Instant::now())) => return true,
                () = shared.ending.notified() => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        self.shared.abandoned.load(Ordering::Relaxed) || self.deadline().is_some_and(|at| Instant::now() >= at)
    }

    /// Once for every stretch of trouble.
    fn report(&mut self, why: &str, then: &str) {
        if !std::mem::replace(&mut self.in_trouble, true) {
            let why: String = why.chars().take(200).flat_map(char::escape_debug).collect();
            tracing::warn!("spans do not reach {}: {why}; {then}", self.shown);
        }
    }
}
