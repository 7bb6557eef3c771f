//! `/storm/{count}`: spawns this many tasks that have next to nothing to do, and waits for them.

use std::hint::black_box;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use instrument::task;
use tokio::task::JoinHandle;

/// A request may not ask for more.
const COUNT_MAX: usize = 100_000;

/// The service.
pub(crate) fn router() -> Router {
    Router::new().route("/storm/{count}", get(storm))
}

async fn storm(Path(count): Path<usize>) -> Result<String, StatusCode> {
    if count > COUNT_MAX {
        return Err(StatusCode::BAD_REQUEST);
    }
    let spawned: Vec<JoinHandle<usize>> = (0..count).map(|number| tokio::spawn(task("one", one(number)))).collect();
    let mut ended = 0;
    for one in spawned {
        ended += usize::from(one.await.is_ok());
    }
    Ok(ended.to_string())
}

async fn one(number: usize) -> usize {
    black_box(number)
}
