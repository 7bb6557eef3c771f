//! How long to wait between attempts.

use std::time::Duration;

/// The first wait, and the factor and bound of those after it.
const FIRST: Duration = Duration::from_millis(500);
const FACTOR: u32 = 2;
const LONGEST: Duration = Duration::from_secs(30);
/// A backend that asks for more than this is asked again after this.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Exponential back-off with jitter, for one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next wait. `asked`: what the backend asked for, which is a lower bound. `jitter`: from 0 to 1,
    /// so that agents that failed together do not come back together.
    pub(super) fn wait(&mut self, asked: Option<Duration>, jitter: f64) -> Duration {
        let jitter = jitter.clamp(0.0, 1.0);
        let own = self.next.mul_f64(0.5 + jitter / 2.0);
        self.next = (self.next * FACTOR).min(LONGEST);
        match asked.map(|asked| asked.min(LONGEST_ASKED)) {
            Some(asked) => asked + FIRST.mul_f64(jitter),
            None => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..9).map(|_| backoff.wait(None, 1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(Backoff::new().wait(None, 0.0), Duration::from_millis(250));
    }

    #[test]
    fn what_the_backend_asks_for_is_kept_within_bounds() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.wait(Some(Duration::from_secs(7)), 0.0), Duration::from_secs(7));
        assert_eq!(backoff.wait(Some(Duration::MAX), 0.0), LONGEST_ASKED);
        assert_eq!(backoff.wait(Some(Duration::ZERO), 1.0), FIRST);
    }
}
