//! The comparison of waits: by await chain, and by the stopwatch around what a handler awaits.

use std::collections::HashSet;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::seen::{Seen, SeenAwait, SeenFrame};

use super::compare::{Pair, whole};
use super::truth::Lived;

/// The future that has a stopwatch.
const TIMED: &str = "summary::build_response";

/// All that lies on the way from the handler to what it waits for, in this order.
const WAY: [&str; 5] = ["summary::summary", TIMED, "join!", "summary::fetch_orders", "Sleep"];

/// Both accounts of the waits inside [`TIMED`].
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The number of times it was awaited to its end, in tasks that both accounts have whole.
    times: u64,
    wait: Pair,
    /// A chain that goes the [`WAY`].
    way: Option<Vec<SeenFrame>>,
}

/// Compares.
pub(super) fn compare(lived: &[Lived], seen: &Seen) -> Waits {
    let timed = || lived.iter().filter(|lived| lived.awaited && whole(seen, lived.id).is_some());
    let tasks: HashSet<u64> = timed().map(|lived| lived.id).collect();
    let mut waits = Waits::default();
    for lived in timed() {
        waits.times += 1;
        waits.wait.add(lived.wait_ns(), 0);
    }
    let of_them = |awaited: &&SeenAwait| tasks.contains(&awaited.task) && awaited.chain.iter().any(is_timed);
    for awaited in seen.awaits.iter().filter(of_them) {
        waits.wait.add(0, awaited.wait_ns);
        waits.way = waits.way.or_else(|| way(&awaited.chain));
    }
    waits
}

fn is_timed(frame: &SeenFrame) -> bool {
    frame.name.contains(TIMED)
}

/// The frames from a chain's outermost to a leaf, if they go the [`WAY`].
fn way(chain: &[SeenFrame]) -> Option<Vec<SeenFrame>> {
    let mut path: Vec<SeenFrame> = Vec::new();
    chain.iter().find_map(|frame| {
        path.retain(|outer| outer.depth < frame.depth);
        path.push(frame.clone());
        goes(&path).then(|| path.clone())
    })
}

fn goes(path: &[SeenFrame]) -> bool {
    let mut frames = path.iter();
    WAY.iter().all(|name| frames.any(|frame| frame.name.contains(name)))
}

impl Waits {
    /// Checks that asyncscope told the truth.
    ///
    /// # Errors
    /// Where it did not.
    pub(super) fn verdict(&self) -> Result<()> {
        ensure!(self.times > 0, "no request for a summary was seen whole");
        ensure!(self.wait.agrees(self.times), "the waits of {TIMED} are not the truth");
        let way = self.way.as_ref().with_context(|| format!("no chain goes {}", WAY.join(" -> ")))?;
        let lines = way.iter().filter(|frame| frame.line.is_some()).count();
        ensure!(lines >= 3, "the chain has no lines: {way:?}");
        Ok(())
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wait, times) = (self.wait, self.times);
        let ms = |ns: u64| ns / 1_000_000;
        let (lived, seen, percent) = (ms(wait.lived), ms(wait.seen), wait.percent());
        writeln!(
            f,
            "  {times} times: {lived} ms by the stopwatch, {seen} ms by asyncscope ({percent:+.1} %), such as"
        )?;
        for frame in self.way.iter().flatten() {
            let SeenFrame { name, file, line, .. } = frame;
            let place = file.iter().zip(line).map(|(file, line)| format!("  {file}:{line}")).next().unwrap_or_default();
            writeln!(f, "    {name}{place}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(frames: &[(usize, &str)]) -> Vec<SeenFrame> {
        let frame = |&(depth, name): &(usize, &str)| SeenFrame { depth, name: name.to_owned(), ..SeenFrame::default() };
        frames.iter().map(frame).collect()
    }

    #[test]
    fn a_way_lies_in_one_branch() {
        let outer = [(0, "a::summary::summary"), (1, "a::summary::build_response"), (2, "join!")];
        let check = |inner: &[(usize, &str)], expected| {
            assert_eq!(way(&chain(&[&outer[..], inner].concat())).is_some(), expected, "{inner:?}");
        };
        check(&[(3, "a::summary::fetch_user"), (4, "Sleep"), (3, "a::summary::fetch_orders"), (4, "Sleep")], true);
        check(&[(3, "a::summary::fetch_orders"), (4, "Mutex"), (3, "a::summary::fetch_user"), (4, "Sleep")], false);
        check(&[], false);
    }
}
