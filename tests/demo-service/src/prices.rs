//! What a service does on its own: a timer that starts a task now and then.

use std::time::Duration;

use tokio::time::{interval, sleep};

use crate::truth::{Spawned, measured, spin};

/// Refreshes the prices for ever.
pub(crate) async fn keep_fresh() {
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        tokio::spawn(instrument::task("refresh", refresh(Spawned::here())));
    }
}

async fn refresh(spawned: Spawned) {
    let body = async {
        for _ in 0..3 {
            spin(Duration::from_micros(300));
            sleep(Duration::from_millis(2)).await;
        }
    };
    measured("demo_service::prices::refresh", spawned, body).await;
}
