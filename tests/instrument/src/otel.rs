//! `tracing` and OpenTelemetry's SDK, as their documentation has them: everything is sampled, and batches go out over
//! OTLP/HTTP from a thread of the SDK's, to `OTEL_EXPORTER_OTLP_ENDPOINT`.

use axum::Router;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracing::instrument::Instrumented;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Level, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A task's future, with its span.
pub type Task<F> = Instrumented<F>;

/// What is set up until this is dropped.
#[derive(Debug)]
pub struct Started(SdkTracerProvider);

/// Sets up what is built in.
///
/// # Errors
///
/// If that cannot be done.
pub fn start() -> anyhow::Result<Started> {
    let exporter = SpanExporter::builder().with_http().build()?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("service"));
    tracing_subscriber::registry().with(LevelFilter::INFO).with(layer).try_init()?;
    Ok(Started(provider))
}

impl Drop for Started {
    fn drop(&mut self) {
        // What the backend did not take is lost, as it is for any service.
        let _lost = self.0.shutdown();
    }
}

/// Gives each request a span.
pub fn requests(router: Router) -> Router {
    router.layer(TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().level(Level::INFO)))
}

/// Gives a future that is about to be spawned, or awaited, a span under the current one.
pub fn task<F: Future>(name: &'static str, future: F) -> Task<F> {
    future.instrument(info_span!("task", otel.name = name))
}
