//! Two requests that wait for each other, so that they do the next thing in polls that follow each other.

use std::time::Duration;

use tokio::sync::Barrier;
use tokio::time::timeout;

/// One that comes alone goes on alone.
const ALONE_AFTER: Duration = Duration::from_millis(60);

#[derive(Debug)]
pub(crate) struct Meeting(Barrier);

impl Default for Meeting {
    fn default() -> Self {
        Self(Barrier::new(2))
    }
}

impl Meeting {
    /// Waits for the other one. Returns whether it came second.
    pub(crate) async fn meet(&self) -> bool {
        timeout(ALONE_AFTER, self.0.wait()).await.is_ok_and(|met| met.is_leader())
    }
}
