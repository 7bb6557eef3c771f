//! The lists of the tasks that a runtime owns: from a thread's `CONTEXT` to their heads.

use serde::{Deserialize, Serialize};

use super::{
    dies::{DieOffset, Kind},
    find::{Finder, Part},
};
use asyncscope_trace::chain::Discriminant;

/// The way from a thread's local variable to the tasks of its runtime. Offsets are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The offset of `CONTEXT` in a thread's block of local variables.
    pub context: u64,
    /// The kinds of runtimes.
    pub kinds: Vec<Kinds>,
    /// In a task's trailer, the pointers to its neighbours in the list: the one before, the one behind.
    pub links: (u32, u32),
}

/// One kind of runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kinds {
    /// The variants that must be picked, in `CONTEXT`, for it to be of this kind.
    pub picks: Vec<Pick>,
    /// In `CONTEXT`, the pointer to what all threads of the runtime share.
    pub shared: u32,
    /// In what they share, the lists.
    pub shards: Shards,
    /// In what they share, how many tasks there are.
    pub count: Option<u32>,
}

/// A variant, by its discriminant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// The discriminant's offset.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u8,
    /// Its value; `None`: any but these.
    pub value: Option<u64>,
    /// The values of the other variants.
    pub others: Vec<u64>,
}

/// Lists of tasks. Offsets and lengths are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shards {
    /// One.
    One {
        /// The place of the pointer to its first task, in what the runtime shares.
        head: u32,
    },
    /// Several in a row.
    Several {
        /// The place of the pointer to the first list, in what the runtime shares.
        first: u32,
        /// The place of their number, there as well.
        count: u32,
        /// The length of each list.
        stride: u32,
        /// The place of the pointer to its first task, in each list.
        head: u32,
    },
    /// Not known.
    #[default]
    Unknown,
}

const CONTEXT: &str = "tokio::runtime::context::Context";
const HANDLE: &str = "tokio::runtime::scheduler::Handle";
const TASKS: &str = "tokio::runtime::task::list::OwnedTasks";
const LIST: &str = "tokio::util::linked_list::LinkedList";

/// Reads the way to tasks from debug info, if that says all of it.
pub(super) fn owned(find: &Finder<'_, '_>, cell: Option<DieOffset>) -> Option<Owned> {
    let trailer = find.member(Part { offset: 0, at: cell? }, "trailer")?;
    let owned = find.member(Part { offset: 0, at: trailer.at }, "owned")?;
    let link = |name| find.pointer(find.member(owned, name)?).and_then(|(offset, _)| u32::try_from(offset).ok());
    let links = (link("prev")?, link("next")?);
    let is = |part: &Part, ty: &super::dies::Type<'_>, base: &str| find.base(part.at, ty) == base;
    let contexts = find.index.thread_locals.iter().filter_map(|&(offset, at)| {
        let context = find.first(Part { offset: 0, at }, |part, ty, _| is(part, ty, CONTEXT))?;
        Some((offset.checked_add(context.offset)?, context.at))
    });
    let (context, at) = contexts.into_iter().next()?;
    // `handle` in older ones:
    // <https://github.com/tokio-rs/tokio/blob/tokio-1.28.2/tokio/src/runtime/context.rs#L19-L24>
    let context_of_thread = Part { offset: 0, at };
    let current = find.member(context_of_thread, "current").or_else(|| find.member(context_of_thread, "handle"))?;
    let mut picks = Vec::new();
    let handle = handle(find, current, &mut picks)?;
    let kinds: Vec<Kinds> = kinds(find, handle, &picks);
    (!kinds.is_empty()).then_some(Owned { context, kinds, links })
}

/// The handle in a cell of some kind, and what must be so for it to be there.
fn handle(find: &Finder<'_, '_>, current: Part, picks: &mut Vec<Pick>) -> Option<Part> {
    let optional = find.first(current, |part, ty, _| {
        let base = find.base(part.at, ty);
        base == HANDLE || (base == "core::option::Option" && ty.name.contains("scheduler::Handle"))
    })?;
    let (_, ty) = find.get(optional.at)?;
    let Some(choice) = ty.choice.as_ref().filter(|_| find.base(optional.at, &ty) != HANDLE) else {
        return Some(optional);
    };
    let some = choice.variants.iter().find(|variant| variant.member.name == "Some")?;
    picks.push(pick(find, optional.offset, choice, some.value)?);
    let inside = Part { offset: optional.offset.checked_add(some.member.offset)?, at: some.member.at };
    find.first(inside, |part, ty, _| find.base(part.at, ty) == HANDLE)
}

fn kinds(find: &Finder<'_, '_>, handle: Part, picks: &[Pick]) -> Vec<Kinds> {
    let Some((_, ty)) = find.get(handle.at) else { return Vec::new() };
    let Some(choice) = &ty.choice else { return Vec::new() };
    let of = |variant: &super::dies::Alternative<'_>| {
        let mut picks = picks.to_vec();
        picks.extend(choice.discriminant.and_then(|_| pick(find, handle.offset, choice, variant.value)));
        let inside = Part { offset: handle.offset.checked_add(variant.member.offset)?, at: variant.member.at };
        let (shared, target) = find.pointer(inside)?;
        let tasks = find.first(Part { offset: 0, at: target }, |part, ty, _| find.base(part.at, ty) == TASKS)?;
        let shards = shards(find, tasks)?;
        let count = find
            .member(tasks, "count")
            .and_then(|count| find.first(count, |_, ty, _| ty.kind == Kind::Base && ty.size == 8));
        let count = count.and_then(|count| u32::try_from(count.offset).ok());
        Some(Kinds { picks, shared: u32::try_from(shared).ok()?, shards, count })
    };
    choice.variants.iter().filter_map(of).collect()
}

fn shards(find: &Finder<'_, '_>, tasks: Part) -> Option<Shards> {
    let offset = |offset: u64| u32::try_from(offset).ok();
    let list = |of: Part| find.first(of, |part, ty, _| find.base(part.at, ty) == LIST);
    let head = |of: Part| find.pointer(find.member(list(of)?, "head")?).and_then(|(at, _)| offset(at));
    if let Some(head) = head(tasks) {
        return Some(Shards::One { head });
    }
    let lists = find.member(tasks, "lists")?;
    let (first, count) = (find.member(lists, "data_ptr")?, find.member(lists, "length")?);
    let element = find.dies.get(first.at)?.target?;
    let stride = find.get(element)?.1.size;
    Some(Shards::Several {
        first: offset(first.offset)?,
        count: offset(count.offset)?,
        stride: offset(stride)?,
        head: head(Part { offset: 0, at: element })?,
    })
}

fn pick(find: &Finder<'_, '_>, base: u64, choice: &super::dies::Choice<'_>, value: Option<u64>) -> Option<Pick> {
    let discriminant = choice.discriminant.as_ref().filter(|_| !choice.broken)?;
    let size = u8::try_from(find.dies.get(discriminant.at)?.size).ok()?;
    let others = choice.variants.iter().filter_map(|variant| variant.value).filter(|&other| Some(other) != value);
    let offset = u32::try_from(base.checked_add(discriminant.offset)?).ok()?;
    Some(Pick { offset, size, value, others: others.collect() })
}

impl Pick {
    /// Returns `true` if a value is of this variant.
    #[must_use]
    pub fn fits(&self, value: u64) -> bool {
        self.value.map_or(!self.others.contains(&value), |wanted| wanted == value)
    }

    /// The place to read the value from.
    #[must_use]
    pub fn discriminant(&self) -> Discriminant {
        Discriminant { offset: self.offset, size: self.size }
    }
}
