//! What the authors of a service build into it where they have no asyncscope: with the feature `console`,
//! tokio-console's subscriber; with `otel`, `tracing` spans that OpenTelemetry's SDK exports. With neither, nothing:
//! every function here gives back what it is given.

#[cfg(feature = "otel")]
mod otel;

#[cfg(feature = "otel")]
pub use otel::{Task, requests, start, task};

#[cfg(not(feature = "otel"))]
mod without {
    use axum::Router;

    /// A task's future, with its span.
    pub type Task<F> = F;

    /// What is set up until this is dropped.
    #[derive(Debug)]
    pub struct Started;

    /// Sets up what is built in.
    ///
    /// # Errors
    ///
    /// If that cannot be done.
    pub fn start() -> anyhow::Result<Started> {
        #[cfg(feature = "console")]
        console_subscriber::ConsoleLayer::builder().server_addr(([127, 0, 0, 1], 0)).init();
        Ok(Started)
    }

    /// Gives each request a span.
    pub fn requests(router: Router) -> Router {
        router
    }

    /// Gives a future that is about to be spawned, or awaited, a span under the current one.
    pub fn task<F: Future>(_name: &'static str, future: F) -> Task<F> {
        future
    }
}

#[cfg(not(feature = "otel"))]
pub use without::{Started, Task, requests, start, task};
