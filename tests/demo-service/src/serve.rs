//! The service as a whole: two listeners on the loopback, until a signal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::audit::AuditLog;
use crate::{orders, pages, prices, truth};

/// Options of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A file for the truth about each task, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT, then tells the truth.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _instrumented = instrument::start()?;
    start().await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    report(options.truth.as_deref())
}

async fn start() -> anyhow::Result<()> {
    let bind = || TcpListener::bind(("127.0.0.1", 0));
    let (for_pages, for_orders) = (bind().await?, bind().await?);
    let (pages_at, orders_at) = (for_pages.local_addr()?, for_orders.local_addr()?);
    let page_service = pages::router(orders_at, AuditLog::start())?;
    tokio::spawn(serve_orders(for_orders, orders::router()));
    tokio::spawn(serve_pages(for_pages, page_service));
    tokio::spawn(prices::keep_fresh());
    let pid = std::process::id();
    let line = serde_json::json!({"pid": pid, "pages": pages_at, "orders": orders_at});
    writeln!(io::stdout(), "listening {line}")?;
    Ok(())
}

async fn serve_pages(listener: TcpListener, router: Router) -> io::Result<()> {
    axum::serve(listener, instrument::requests(router)).await
}

async fn serve_orders(listener: TcpListener, router: Router) -> io::Result<()> {
    axum::serve(listener, instrument::requests(router)).await
}

fn report(file: Option<&Path>) -> anyhow::Result<()> {
    truth::write_sums(&mut io::stdout().lock())?;
    let Some(path) = file else { return Ok(()) };
    let write = || {
        let mut out = io::BufWriter::new(std::fs::File::create(path)?);
        truth::write_rows(&mut out)?;
        out.flush()
    };
    write().with_context(|| format!("the truth could not be written to {}", path.display()))
}
