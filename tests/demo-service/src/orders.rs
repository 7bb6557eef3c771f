//! `/orders/{id}`: the service behind the service.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::time::sleep;

use crate::truth::{Spawned, measured, spin};

/// The service's inner side.
pub(crate) fn router() -> Router {
    Router::new().route("/orders/{id}", get(orders))
}

async fn orders(Path(id): Path<u64>) -> Result<String, StatusCode> {
    let query = tokio::spawn(instrument::task("query_orders", query_orders(id, Spawned::here())));
    query.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn query_orders(id: u64, spawned: Spawned) -> String {
    let body = async {
        sleep(Duration::from_millis(1)).await;
        spin(Duration::from_micros(300));
        format!("{} orders", id % 7)
    };
    measured("demo_service::orders::query_orders", spawned, body).await
}
