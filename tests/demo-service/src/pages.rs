//! `/page/{id}`: fetches a user and their orders side by side, renders a page, and has it audited.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::time::{sleep, timeout};

use crate::audit::AuditLog;
use crate::summary;
use crate::truth::{Spawned, measured, measured_blocking, spin};

#[derive(Clone, Debug)]
struct App {
    audit: AuditLog,
    client: reqwest::Client,
    orders_at: SocketAddr,
}

/// The service's public side.
pub(crate) fn router(orders_at: SocketAddr, audit: AuditLog) -> reqwest::Result<Router> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let app = App { audit, client, orders_at };
    Ok(Router::new().route("/page/{id}", get(page)).with_state(app).merge(summary::router()))
}

async fn page(State(app): State<App>, Path(id): Path<u64>) -> Result<String, StatusCode> {
    let user = tokio::spawn(instrument::task("fetch_user", fetch_user(id, Spawned::here())));
    let url = format!("http://{}/orders/{id}", app.orders_at);
    let orders = tokio::spawn(instrument::task("fetch_orders", fetch_orders(app.client, url, Spawned::here())));
    let (user, orders) = tokio::join!(user, orders);
    let user = user.map_err(failed)?;
    let orders = orders.map_err(failed)?.map_err(failed)?;
    let here = Spawned::here();
    let page = tokio::task::spawn_blocking(render(user, orders, here));
    let page = page.await.map_err(failed)?;
    let entry = app.audit.record(id).await.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("{page} (audit entry {entry})"))
}

fn failed(_: impl std::error::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

/// Waits as for a database, and works before and after.
async fn fetch_user(id: u64, spawned: Spawned) -> String {
    let body = async {
        spin(Duration::from_micros(400));
        sleep(Duration::from_millis(3)).await;
        spin(Duration::from_micros(400));
        format!("user {id}")
    };
    measured("demo_service::pages::fetch_user", spawned, body).await
}

/// Asks the other listener, over a pooled connection.
async fn fetch_orders(client: reqwest::Client, url: String, spawned: Spawned) -> Result<String, reqwest::Error> {
    let body = async {
        spin(Duration::from_micros(300));
        let orders = async { client.get(url).send().await?.error_for_status()?.text().await };
        let orders = match timeout(Duration::from_secs(2), orders).await {
            Ok(orders) => orders?,
            Err(_) => String::from("orders unknown"),
        };
        spin(Duration::from_micros(300));
        Ok(orders)
    };
    measured("demo_service::pages::fetch_orders", spawned, body).await
}

/// What is to run on the blocking pool: work that a worker should not be held up by.
fn render(user: String, orders: String, spawned: Spawned) -> impl FnOnce() -> String {
    move || {
        measured_blocking("demo_service::pages::render", spawned, || {
            spin(Duration::from_millis(1));
            format!("{user}: {orders}")
        })
    }
}
