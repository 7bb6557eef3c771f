//! `/summary/{id}`: awaits a user and their orders side by side, in the task of the connection.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use instrument::task;
use tokio::time::sleep;

use crate::truth::{awaited, spin};

/// The summary's route.
pub(crate) fn router() -> Router {
    Router::new().route("/summary/{id}", get(summary))
}

async fn summary(Path(id): Path<u64>) -> String {
    build_response(id).await
}

async fn build_response(id: u64) -> String {
    let body = async {
        let (user, orders) = tokio::join!(task("fetch_user", fetch_user(id)), task("fetch_orders", fetch_orders(id)));
        spin(Duration::from_micros(200));
        format!("{user}: {orders}")
    };
    awaited("demo_service::summary::build_response", body).await
}

async fn fetch_user(id: u64) -> String {
    sleep(Duration::from_millis(2)).await;
    format!("user {id}")
}

async fn fetch_orders(id: u64) -> String {
    sleep(Duration::from_millis(4)).await;
    spin(Duration::from_micros(100));
    format!("{} orders", id % 7)
}
