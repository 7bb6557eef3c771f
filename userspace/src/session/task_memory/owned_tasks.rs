//! The tasks that runtimes own, found by walking their lists while these change.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use super::thread_pointers;
use crate::session::attach::attached::Attached;
use asyncscope_discovery::{
    addr::RuntimeAddr,
    layout::{Kinds, Owned, Shards},
    process::Process,
};
use asyncscope_trace::chain::snapshot::Search;

/// No more tasks than this are followed, over all lists and tries.
const TASKS_MAX: u32 = 1 << 20;
/// A runtime has no more lists than this.
const LISTS_MAX: u64 = 1 << 16;
/// The number of times that a list is walked that is changed meanwhile.
const TRIES: u32 = 8;
/// In a task vtable, where the offset of the trailer is: behind seven functions.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/raw.rs#L16-L51>
const TRAILER_OFFSET: u64 = 56;

/// Returns the headers of all tasks that runtimes own, as far as their lists are found.
pub(crate) fn tasks(attached: &Attached) -> (BTreeSet<u64>, Search) {
    let mut search = Search::default();
    let owned = match &attached.layouts {
        Ok(layouts) => layouts.owned.as_ref(),
        Err(_) => None,
    };
    let Some(owned) = owned else {
        search.why_not = Some("there is no type information of the runtime's lists, or of those of several tokios");
        return (BTreeSet::new(), search);
    };
    let lists = Lists { process: &attached.process, attached, owned, left: Cell::new(TASKS_MAX) };
    let mut runtimes: BTreeMap<u64, &Kinds> = BTreeMap::new();
    for pointer in thread_pointers::pointers(&attached.process) {
        let context = pointer.wrapping_sub(attached.thread_local_len).wrapping_add(owned.context);
        runtimes.extend(owned.kinds.iter().find_map(|kind| Some((lists.runtime(kind, context)?, kind))));
    }
    let mut headers = BTreeSet::new();
    // Not every tokio counts its tasks.
    let mut stated = Some(0_u64);
    for (&shared, kind) in &runtimes {
        lists.all(kind, shared, &mut headers);
        let count = kind.count.and_then(|count| lists.word(shared.wrapping_add(count.into())));
        stated = stated.zip(count).and_then(|(sum, count)| sum.checked_add(count));
    }
    search.stated = stated.filter(|_| !runtimes.is_empty());
    search.runtimes = runtimes.len();
    if runtimes.is_empty() {
        search.why_not = Some("no thread with a runtime was found");
    }
    (headers, search)
}

struct Lists<'a> {
    process: &'a Process,
    attached: &'a Attached,
    owned: &'a Owned,
    /// The number of tasks that may still be followed.
    left: Cell<u32>,
}

impl Lists<'_> {
    /// Returns the address of what the threads of a runtime share, if a runtime of this kind has its context here.
    fn runtime(&self, kind: &Kinds, context: u64) -> Option<u64> {
        for pick in &kind.picks {
            let at = pick.discriminant();
            let value = self.number(context.wrapping_add(at.offset.into()), at.size.into())?;
            pick.fits(value).then_some(())?;
        }
        let shared = self.word(context.wrapping_add(kind.shared.into()))?;
        let heads = self.heads(kind, shared)?;
        // Whatever lies at an address that only looks like a thread's: each list is empty, or starts with a task.
        let plausible = |&head: &u64| self.word(head).is_some_and(|first| first == 0 || self.vtable(first).is_some());
        heads.iter().all(plausible).then_some(shared)
    }

    /// Returns the addresses of the pointers to the first task of each list.
    fn heads(&self, kind: &Kinds, shared: u64) -> Option<Vec<u64>> {
        let at = |offset: u32| shared.wrapping_add(offset.into());
        match kind.shards {
            Shards::One { head } => Some(vec![at(head)]),
            Shards::Several { first, count, stride, head } => {
                let (first, count) = (self.word(at(first))?, self.word(at(count))?);
                let list = |n: u64| first.wrapping_add(n.wrapping_mul(stride.into())).wrapping_add(head.into());
                (count > 0 && count <= LISTS_MAX).then(|| (0..count).map(list).collect())
            }
            Shards::Unknown => None,
        }
    }

    fn all(&self, kind: &Kinds, shared: u64, into: &mut BTreeSet<u64>) {
        for head in self.heads(kind, shared).unwrap_or_default() {
            // Each try adds what it found: a task that was taken out meanwhile is known by its state word.
            for _ in 0..TRIES {
                if self.list(head, into).is_some() || self.left.get() == 0 {
                    break;
                }
            }
        }
    }

    /// Follows a list; `None` if it was changed meanwhile.
    fn list(&self, head: u64, into: &mut BTreeSet<u64>) -> Option<()> {
        let (before, after) = self.owned.links;
        let (mut previous, mut header) = (0, self.word(head)?);
        while header != 0 {
            self.left.set(self.left.get().checked_sub(1)?);
            let trailer = header.wrapping_add(self.word(self.vtable(header)?.wrapping_add(TRAILER_OFFSET))?);
            if self.word(trailer.wrapping_add(before.into()))? != previous {
                return None;
            }
            into.insert(header);
            (previous, header) = (header, self.word(trailer.wrapping_add(after.into()))?);
        }
        Some(())
    }

    /// Returns the task vtable of a header, if it is one.
    fn vtable(&self, header: u64) -> Option<u64> {
        self.word(header.checked_add(16)?).filter(|vtable| self.attached.vtables.contains_key(vtable))
    }

    fn word(&self, address: u64) -> Option<u64> {
        self.number(address, 8)
    }

    fn number(&self, address: u64, size: usize) -> Option<u64> {
        let mut bytes = [0; 8];
        let part = bytes.get_mut(..size)?;
        (self.process.read_memory(RuntimeAddr(address), part) == size).then(|| u64::from_le_bytes(bytes))
    }
}
