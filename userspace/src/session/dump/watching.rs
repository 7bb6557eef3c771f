//! The target, watched while it is dumped.

use std::time::Duration;

use anyhow::Result;

use crate::session::{
    attach::attached::Attached, clock::monotonic_ns, collect::event_pump::EventPump, task_memory::reader::TaskActivity,
};
use asyncscope_model::{Config, Graph};

/// Between two looks at what the hooks saw.
const ROUND: Duration = Duration::from_millis(5);

/// The state of the target's tasks, as known by its hooks.
pub(super) struct Watching {
    pump: EventPump,
    pub(super) graph: Graph,
    pub(super) activity: TaskActivity,
}

impl Watching {
    pub(super) fn new(attached: &mut Attached) -> Self {
        let graph = Graph::new(&Config::from(&attached.facts));
        Self { pump: EventPump::new(attached), graph, activity: TaskActivity::default() }
    }

    /// Watches for so long.
    pub(super) fn watch(&mut self, attached: &mut Attached, time: Duration) -> Result<()> {
        let end = monotonic_ns().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        loop {
            self.round(attached)?;
            let left = end.saturating_sub(monotonic_ns());
            if left == 0 {
                return Ok(());
            }
            std::thread::sleep(ROUND.min(Duration::from_nanos(left)));
        }
    }

    /// Takes what was seen until now.
    fn round(&mut self, attached: &mut Attached) -> Result<()> {
        let Self { pump, graph, activity } = self;
        pump.round(attached, &mut |event| {
            activity.saw(&event);
            graph.apply(&event);
        })
    }

    /// Watches until all that happened before `time` has been seen.
    pub(super) fn until(&mut self, attached: &mut Attached, time: u64) -> Result<()> {
        while self.activity.seen_until < time {
            self.activity.seen_until = monotonic_ns();
            self.round(attached)?;
        }
        Ok(())
    }
}
