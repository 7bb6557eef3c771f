//! The place of the id of the task that a thread polls: as the code has it, held against all else that is known.

use std::collections::{BTreeMap, BTreeSet};

use super::{plan::Plan, vtables::Vtable};
use crate::{
    code::x86_64::{
        code::Code,
        current_task::{self, TlsSlot},
    },
    image::elf::Elf,
};
use asyncscope_trace::facts::{CurrentTask, RunningProof, RunningTask, RunningUnknown};

/// More poll functions than this are not asked: they would say the same.
const POLLS_MAX: usize = 256;
/// tokio's variable, in a mangled name.
const CONTEXT: &str = "5tokio7runtime7context7CONTEXT";
/// From 1.43 on an id is never 0, and needs no word that says whether there is one.
/// <https://github.com/tokio-rs/tokio/pull/6961>
const NEVER_ZERO: u32 = 43;

/// The place, or why none is proved.
///
/// # Errors
///
/// The poll functions' code does not tell it, or contradicts itself or what else is known.
pub(super) fn find(
    code: &Code<'_, '_>,
    vtables: &[Vtable],
    tokio: Option<&str>,
) -> Result<RunningTask, RunningUnknown> {
    let polls: BTreeSet<_> = vtables.iter().map(|vtable| (vtable.poll, vtable.id_offset)).collect();
    let every = polls.len().div_ceil(POLLS_MAX).max(1);
    let mut found: BTreeMap<TlsSlot, usize> = BTreeMap::new();
    let mut asked = 0;
    for &(poll, id_offset) in polls.iter().step_by(every) {
        asked += 1;
        for place in current_task::places(code, poll, id_offset) {
            *found.entry(place).or_default() += 1;
        }
    }
    let (place, agree) = match found.into_iter().collect::<Vec<_>>()[..] {
        [one] => one,
        [] => return Err(RunningUnknown::NotKept { asked }),
        ref several => return Err(RunningUnknown::Places { count: several.len() }),
    };
    let in_context = check_symbol(code.elf, place)?;
    check_version(place, tokio)?;
    let proof = RunningProof::Code { agree, asked, in_context };
    Ok(RunningTask { below: place.below, tagged: place.tagged, proof })
}

/// The place must lie in the variable where a symbol tells where that is. Returns whether one does.
fn check_symbol(elf: &Elf<'_>, place: TlsSlot) -> Result<bool, RunningUnknown> {
    let below = u64::from(place.below);
    if below > elf.thread_local_len() {
        return Err(RunningUnknown::Outside { below: place.below });
    }
    let Some((address, len)) = elf.thread_local_symbol(CONTEXT) else { return Ok(false) };
    let at = elf.thread_local_len() - below;
    let inside = at >= address && at + 8 <= address.saturating_add(len);
    if inside { Ok(true) } else { Err(RunningUnknown::NotInContext { below: place.below }) }
}

/// Checks that the code shows a tag exactly if ids of that version need one.
fn check_version(place: TlsSlot, tokio: Option<&str>) -> Result<(), RunningUnknown> {
    match tokio.and_then(|version| Some((version, needs_tag(version)?))) {
        Some((version, needed)) if needed != place.tagged => {
            Err(RunningUnknown::Tag { tagged: place.tagged, tokio: version.to_owned() })
        }
        _ => Ok(()),
    }
}

fn needs_tag(version: &str) -> Option<bool> {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next()??, numbers.next()??) {
        (1, minor) => Some(minor < NEVER_ZERO),
        _ => None,
    }
}

impl Plan {
    /// The place that samples are taken from: by the code, or where that does not tell, by observation.
    ///
    /// # Errors
    ///
    /// None is known for sure, for this reason.
    pub fn running_task(&self) -> Result<RunningTask, RunningUnknown> {
        let observed = self.current_task;
        match (&self.running, observed) {
            (Some(proved), Some(observed)) if proved.below != observed.below => {
                Err(RunningUnknown::Contradicted { code: proved.below, observed: observed.below })
            }
            (Some(proved), _) => Ok(*proved),
            (None, Some(observed)) if self.tokio.as_deref().and_then(needs_tag) == Some(false) => {
                Ok(by_observation(observed))
            }
            (None, _) => Err(self.running_unknown.clone()),
        }
    }
}

fn by_observation(observed: CurrentTask) -> RunningTask {
    let CurrentTask { below, looks, agree, tasks } = observed;
    RunningTask { below, tagged: false, proof: RunningProof::Observation { agree, looks, tasks } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(proved: Option<u32>, observed: Option<u32>, tokio: Option<&str>) -> Result<u32, RunningUnknown> {
        let proof = RunningProof::Code { agree: 1, asked: 1, in_context: true };
        let running = proved.map(|below| RunningTask { below, tagged: false, proof });
        let current_task = observed.map(|below| CurrentTask { below, ..CurrentTask::default() });
        let tokio = tokio.map(str::to_owned);
        Plan { current_task, running, tokio, ..Plan::default() }.running_task().map(|place| place.below)
    }

    #[test]
    fn what_contradicts_itself_is_not_used() {
        assert_eq!(plan(Some(8), None, None), Ok(8));
        assert_eq!(plan(Some(8), Some(8), None), Ok(8));
        assert!(plan(Some(8), Some(16), None).is_err());
        assert_eq!(plan(None, Some(16), Some("1.43.0")), Ok(16));
        assert!(plan(None, Some(16), Some("1.42.0")).is_err()); // may be left over
        assert!(plan(None, Some(16), None).is_err());
        assert!(plan(None, None, Some("1.54.1")).is_err());
    }

    #[test]
    fn the_version_says_whether_there_is_a_tag() {
        let check = |tagged, tokio| check_version(TlsSlot { below: 8, tagged }, tokio).is_ok();
        assert!(check(true, Some("1.42.1")) && !check(false, Some("1.42.1")));
        assert!(check(false, Some("1.43.0")) && !check(true, Some("1.54.1")));
        assert!(check(true, None) && check(false, None) && check(true, Some("2.0")));
    }
}
