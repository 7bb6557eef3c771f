//! Rules about tokio's types by name: those that are waited for, those that keep others waiting, and those that
//! are only wrapped around futures. No offset stands here: members are looked up by name in debug info.

use asyncscope_trace::chain::Waits;

/// Types that are nothing but a wrapper: no frame of their own.
const WRAPPERS: [&str; 17] = [
    "core::pin::Pin",
    "core::option::Option",
    "core::cell::UnsafeCell",
    "core::mem::manually_drop::ManuallyDrop",
    "core::mem::maybe_dangling::MaybeDangling",
    "core::panic::unwind_safe::AssertUnwindSafe",
    "core::future::poll_fn::PollFn",
    "alloc::boxed::Box",
    "futures_util::future::poll_fn::PollFn",
    "futures_util::future::maybe_done::MaybeDone",
    "futures_util::future::try_maybe_done::TryMaybeDone",
    "tokio::future::maybe_done::MaybeDone",
    "tokio::loom::std::unsafe_cell::UnsafeCell",
    "tokio::runtime::task::core::CoreStage",
    "tokio::runtime::task::core::Stage",
    "tokio::runtime::coop::Coop", // before it was public
    "tokio::task::coop::Coop",
];

/// Of these types, only one member leads to futures.
const ONLY: [(&str, &str); 2] =
    [("tokio::runtime::task::core::Cell", "core"), ("tokio::runtime::task::core::Core", "stage")];

/// Macros of tokio's that wait for several futures, by the file that defines them.
const MACROS: [(&str, &str); 3] =
    [("src/macros/join.rs", "join!"), ("src/macros/try_join.rs", "try_join!"), ("src/macros/select.rs", "select!")];

/// A type that futures wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeafRule {
    /// The type, without generic arguments.
    pub(super) ty: &'static str,
    /// The name it goes by.
    pub(super) name: &'static str,
    /// The fact it has to tell, and the members that lead there.
    pub(super) tells: Option<(Waits, &'static [&'static str])>,
}

const fn leaf(ty: &'static str, name: &'static str) -> LeafRule {
    LeafRule { ty, name, tells: None }
}

const fn telling(ty: &'static str, name: &'static str, waits: Waits, members: &'static [&'static str]) -> LeafRule {
    LeafRule { ty, name, tells: Some((waits, members)) }
}

/// The name of a type that futures wait for, if it is one. Generic arguments do not matter.
pub(crate) fn leaf_named(ty: &str) -> Option<&'static str> {
    let base = ty.split('<').next().unwrap_or(ty);
    LEAVES.iter().find(|rule| rule.ty == base).map(|rule| rule.name)
}

const LEAVES: [LeafRule; 10] = [
    telling("tokio::time::sleep::Sleep", "Sleep", Waits::Until, &["deadline"]),
    telling("tokio::runtime::task::join::JoinHandle", "JoinHandle", Waits::Task, &["raw"]),
    telling(ACQUIRE, "Semaphore", Waits::Address, &["semaphore"]),
    telling("tokio::sync::notify::Notified", "Notify", Waits::Address, &["notify"]),
    leaf("tokio::sync::mpsc::chan::Rx", "mpsc::Receiver"),
    leaf("tokio::sync::mpsc::bounded::Receiver", "mpsc::Receiver"),
    leaf("tokio::sync::mpsc::unbounded::UnboundedReceiver", "mpsc::UnboundedReceiver"),
    leaf("tokio::sync::oneshot::Receiver", "oneshot::Receiver"),
    leaf("tokio::runtime::io::scheduled_io::Readiness", "readiness"),
    leaf("tokio::io::util::mem::DuplexStream", "DuplexStream"),
];

/// Things that are polled by methods of their own and lead to futures.
const RESOURCES: [&str; 1] = ["tokio::time::interval::Interval"];

/// The share of a thing that is kept, and the member that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// All there is.
    All,
    /// One reader's share.
    Reader,
    /// A writer's share, which is as many permits as there are.
    Writer(&'static str),
    /// Permits of a semaphore.
    Permits(&'static str),
    /// A channel, as a whole: others may wait at any part of it.
    Channel,
}

/// A thing that others may wait for while it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HoldRule {
    /// The type, without generic arguments.
    pub(super) ty: &'static str,
    /// The member that leads to the pointer to what is kept.
    pub(super) thing: &'static str,
    /// The share of it that is kept.
    pub(super) keeps: Keeps,
}

const fn hold(ty: &'static str, thing: &'static str, keeps: Keeps) -> HoldRule {
    HoldRule { ty, thing, keeps }
}

/// A writer asks for all permits of its lock, and keeps their number.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/sync/rwlock.rs#L735-L764>
const WRITER: Keeps = Keeps::Writer("permits_acquired");
const PERMITS: Keeps = Keeps::Permits("permits");

const HOLDS: [HoldRule; 13] = [
    hold("tokio::sync::mutex::MutexGuard", "lock", Keeps::All),
    hold("tokio::sync::mutex::OwnedMutexGuard", "lock", Keeps::All),
    hold("tokio::sync::mutex::MappedMutexGuard", "s", Keeps::All),
    hold("tokio::sync::mutex::OwnedMappedMutexGuard", "lock", Keeps::All),
    hold("tokio::sync::rwlock::read_guard::RwLockReadGuard", "s", Keeps::Reader),
    hold("tokio::sync::rwlock::write_guard::RwLockWriteGuard", "s", WRITER),
    hold("tokio::sync::rwlock::write_guard_mapped::RwLockMappedWriteGuard", "s", WRITER),
    hold("tokio::sync::rwlock::owned_read_guard::OwnedRwLockReadGuard", "lock", Keeps::Reader),
    hold("tokio::sync::rwlock::owned_write_guard::OwnedRwLockWriteGuard", "lock", WRITER),
    hold("tokio::sync::rwlock::owned_write_guard_mapped::OwnedRwLockMappedWriteGuard", "lock", WRITER),
    hold("tokio::sync::semaphore::SemaphorePermit", "sem", PERMITS),
    hold("tokio::sync::semaphore::OwnedSemaphorePermit", "sem", PERMITS),
    hold("tokio::sync::mpsc::bounded::Receiver", "chan", Keeps::Channel),
];

/// The type that tokio's locks, channels and semaphores are built on.
pub(super) const SEMAPHORE: &str = "tokio::sync::batch_semaphore::Semaphore";
/// The type that waits for permits of it.
pub(super) const ACQUIRE: &str = "tokio::sync::batch_semaphore::Acquire";
/// In that: how many are wanted, and how many of these are not there yet.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/sync/batch_semaphore.rs#L71-L100>
pub(super) const WANTED: &[&str] = &["num_permits"];
pub(super) const MISSING: &[&str] = &["node", "state"];

/// A list of futures: where its links are, by member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListRule {
    /// The type, without generic arguments.
    pub(super) ty: &'static str,
    /// The name it goes by.
    pub(super) name: &'static str,
    /// The members that lead to the pointer to what has the lists; none: it has them itself.
    pub(super) owner: &'static [&'static str],
    /// Each of these starts with the pointer to a list's first link.
    pub(super) heads: &'static [&'static str],
    /// In a link, the member that is or holds a future.
    pub(super) item: &'static str,
    /// In a link, the members that lead to the pointer to the next.
    pub(super) next: &'static [&'static str],
}

const LISTS: [ListRule; 2] = [
    ListRule {
        ty: "futures_util::stream::futures_unordered::FuturesUnordered",
        name: "FuturesUnordered",
        owner: &[],
        heads: &["head_all"],
        item: "future",
        next: &["next_all"],
    },
    ListRule {
        ty: "tokio::util::idle_notified_set::IdleNotifiedSet",
        name: "JoinSet",
        owner: &["lists"],
        heads: &["notified", "idle"],
        item: "value",
        next: &["pointers", "next"],
    },
];

pub(super) fn is_wrapper(base: &str) -> bool {
    WRAPPERS.contains(&base)
        || base.starts_with('(')
        || base.contains("::{closure_env#")
        || base.starts_with("{closure_env#")
}

pub(super) fn only_member(base: &str) -> Option<&'static str> {
    ONLY.iter().find(|(ty, _)| *ty == base).map(|&(_, member)| member)
}

pub(super) fn leaf_rule(base: &str) -> Option<LeafRule> {
    LEAVES.iter().find(|rule| rule.ty == base).copied()
}

/// Returns `true` if such a thing is polled, by itself or by methods of its own.
pub(super) fn is_waited_for(base: &str) -> bool {
    leaf_rule(base).is_some() || list_rule(base).is_some() || RESOURCES.contains(&base)
}

pub(super) fn hold_rule(base: &str) -> Option<HoldRule> {
    HOLDS.iter().find(|rule| rule.ty == base).copied()
}

pub(super) fn list_rule(base: &str) -> Option<ListRule> {
    LISTS.iter().find(|rule| rule.ty == base).copied()
}

/// The macro of tokio's whose definition is in this file.
pub(super) fn macro_in(file: &str) -> Option<&'static str> {
    MACROS.iter().find(|(end, _)| file.ends_with(end) && file.contains("tokio")).map(|&(_, name)| name)
}
