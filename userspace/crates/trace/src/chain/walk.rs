//! The walk: from a task's header along the futures that wait for each other.
//!
//! Memory may change meanwhile or hold anything: every step is counted, and whatever does not fit ends the
//! branch with a [`Cut`]. Whether the reading as a whole can be believed is for the caller to find out.

use super::program::{Edge, Hold, Layout, Number, Program, Share, Step, Variant, Waits};

/// Values looked at in one walk.
const STEPS_MAX: u32 = 4096;
/// Frames of one chain.
const NODES_MAX: usize = 512;
/// Frames inside each other.
const DEPTH_MAX: u16 = 100;
/// Values inside each other, without a frame between them.
const NESTED_MAX: u16 = 64;
/// Futures in one list or slice.
const ROW_MAX: u64 = 64;
/// Values that are to be looked at, at one time.
const PENDING_MAX: usize = 1 << 14;

/// A task's futures, each before those that it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The futures.
    pub nodes: Vec<Node>,
    /// The reason why there is not more of it: the first thing that did not fit.
    pub cut: Option<Cut>,
}

/// One future.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name and place, in [`Program::frames`].
    pub frame: u32,
    /// The number of frames it lies in.
    pub depth: u16,
    /// The thing that it waits for by itself.
    pub seen: Option<Seen>,
    /// The things that it keeps and others may wait for.
    pub holds: Vec<Held>,
}

/// The thing that a leaf waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A moment of `CLOCK_MONOTONIC`, in nanoseconds.
    Until(u64),
    /// The end of the task whose header is here.
    Task(u64),
    /// Something at this address.
    Address(u64),
    /// Permits of the semaphore at this address.
    Permits {
        /// The address of the semaphore.
        address: u64,
        /// The number that is wanted.
        wanted: u64,
        /// The number of these that are not there yet.
        missing: u64,
    },
}

/// Something kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The frame that says what it is and where it was kept, in [`Program::frames`].
    pub frame: u32,
    /// The address at which the thing starts.
    pub start: u64,
    /// Its length in bytes.
    pub len: u32,
    /// The share of it that is kept.
    pub kept: Kept,
}

/// The share of a thing that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All there is.
    All,
    /// One reader's share of a lock.
    Reader,
    /// A writer's share of a lock: this many, which are all there are.
    Writer(u64),
    /// This many permits of a semaphore, if that is known.
    Permits(Option<u64>),
}

/// The reason why a chain ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Memory could not be read.
    Unreadable,
    /// A state that the type does not have: the value is being changed, or is none.
    NoSuchState,
    /// Too long, or in a circle.
    TooLong,
}

/// A value to look at.
struct Pending {
    layout: u32,
    address: u64,
    depth: u16,
    nested: u16,
}

/// Walks from the header of a task with this task vtable; `None` if its layout is not known.
///
/// `read` fills the buffer from the target's memory, or fails.
pub fn walk(
    program: &Program,
    header: u64,
    vtable: u64,
    read: &mut dyn FnMut(u64, &mut [u8]) -> Option<()>,
) -> Option<Chain> {
    let layout = program.task(vtable)?;
    let mut walk = Walk { program, read, chain: Chain::default(), pending: Vec::new(), steps: 0 };
    walk.pending.push(Pending { layout, address: header, depth: 0, nested: 0 });
    while let Some(pending) = walk.pending.pop() {
        if let Err(cut) = walk.value(&pending) {
            walk.chain.cut.get_or_insert(cut);
        }
        if walk.steps >= STEPS_MAX || walk.chain.nodes.len() >= NODES_MAX || walk.pending.len() > PENDING_MAX {
            walk.chain.cut = Some(Cut::TooLong);
            break;
        }
    }
    Some(walk.chain)
}

struct Walk<'a> {
    program: &'a Program,
    read: &'a mut dyn FnMut(u64, &mut [u8]) -> Option<()>,
    chain: Chain,
    /// The next value last.
    pending: Vec<Pending>,
    steps: u32,
}

impl Walk<'_> {
    fn value(&mut self, pending: &Pending) -> Result<(), Cut> {
        self.steps += 1;
        let layout = self.program.layouts.get(pending.layout as usize).ok_or(Cut::NoSuchState)?;
        let variant = self.variant(layout, pending.address)?;
        if pending.depth >= DEPTH_MAX || pending.nested >= NESTED_MAX {
            return Err(Cut::TooLong);
        }
        let (mut depth, mut nested) = (pending.depth, pending.nested + 1);
        if let Some(frame) = variant.frame {
            let seen = self.seen(variant, pending.address)?;
            let holds = self.holds(variant, pending.address);
            self.chain.nodes.push(Node { frame, depth, seen, holds });
            (depth, nested) = (depth + 1, 0);
        }
        let before = self.pending.len();
        let mut cut = Ok(());
        for edge in &variant.edges {
            cut = cut.and(self.follow(edge, pending.address, (depth, nested)));
        }
        // The first edge is walked first.
        if let Some(new) = self.pending.get_mut(before..) {
            new.reverse();
        }
        cut
    }

    fn variant<'p>(&mut self, layout: &'p Layout, address: u64) -> Result<&'p Variant, Cut> {
        let value = match layout.discriminant {
            None => None,
            Some(at) => Some(self.number(address.wrapping_add(at.offset.into()), at.size)?),
        };
        let fits = |variant: &&Variant| variant.value.is_none() || variant.value == value;
        layout.variants.iter().find(fits).ok_or(Cut::NoSuchState)
    }

    fn seen(&mut self, variant: &Variant, address: u64) -> Result<Option<Seen>, Cut> {
        let Some(leaf) = variant.leaf else { return Ok(None) };
        let word = self.word(address.wrapping_add(leaf.word.into()))?;
        Ok(Some(match leaf.waits {
            Waits::Task => Seen::Task(word),
            Waits::Address => Seen::Address(word),
            Waits::Permits { wanted, missing } => Seen::Permits {
                address: word,
                wanted: self.count(wanted, address)?,
                missing: self.count(missing, address)?,
            },
            Waits::Until => {
                let nanoseconds = self.number(address.wrapping_add(leaf.second.into()), 4)?;
                Seen::Until(word.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
            }
        }))
    }

    fn holds(&mut self, variant: &Variant, address: u64) -> Vec<Held> {
        variant.holds.iter().filter_map(|hold| self.held(hold, address).ok()).collect()
    }

    fn held(&mut self, hold: &Hold, address: u64) -> Result<Held, Cut> {
        let start = self.word(address.wrapping_add(hold.pointer.into()))?.wrapping_add(hold.add.into());
        let mut count = |number: Number| self.count(number, address);
        let kept = match hold.share {
            Share::All => Kept::All,
            Share::Reader => Kept::Reader,
            Share::Writer(number) => Kept::Writer(count(number)?),
            Share::Permits(number) => Kept::Permits(number.map(count).transpose()?),
        };
        Ok(Held { frame: hold.frame, start, len: hold.len, kept })
    }

    fn follow(&mut self, edge: &Edge, address: u64, (depth, nested): (u16, u16)) -> Result<(), Cut> {
        if let Some(unless) = edge.unless {
            let flags = self.word(address.wrapping_add(unless.pointer.into()))?;
            if self.number(flags.wrapping_add(u64::from(unless.bit / 8)), 1)? >> (unless.bit % 8) & 1 == 1 {
                return Ok(());
            }
        }
        let at = address.wrapping_add(edge.offset.into());
        let mut go = |layout: u32, address: u64| self.pending.push(Pending { layout, address, depth, nested });
        match edge.step {
            Step::Inside => go(edge.to, at),
            Step::Pointer { add } => {
                let to = self.word(at)?;
                self.pending.push(Pending { layout: edge.to, address: to.wrapping_add(add.into()), depth, nested });
            }
            Step::Boxed { vtable } => {
                let (to, vtable) = (self.word(at)?, self.word(address.wrapping_add(vtable.into()))?);
                let layout = self.program.behind(vtable).unwrap_or(edge.to);
                self.pending.push(Pending { layout, address: to, depth, nested });
            }
            Step::Slice { count, stride } => {
                let (first, count) = (self.word(at)?, self.word(address.wrapping_add(count.into()))?);
                for n in 0..count.min(ROW_MAX) {
                    let address = first.wrapping_add(n.wrapping_mul(stride.into()));
                    self.pending.push(Pending { layout: edge.to, address, depth, nested });
                }
                if count > ROW_MAX {
                    return Err(Cut::TooLong);
                }
            }
            Step::Links { item, next } => return self.links(edge.to, at, (item, next), (depth, nested)),
        }
        Ok(())
    }

    fn links(
        &mut self,
        layout: u32,
        head: u64,
        (item, next): (u32, u32),
        (depth, nested): (u16, u16),
    ) -> Result<(), Cut> {
        let mut link = self.word(head)?;
        for _ in 0..ROW_MAX {
            if link == 0 {
                return Ok(());
            }
            self.pending.push(Pending { layout, address: link.wrapping_add(item.into()), depth, nested });
            link = self.word(link.wrapping_add(next.into()))?;
        }
        Err(Cut::TooLong)
    }

    fn count(&mut self, number: Number, address: u64) -> Result<u64, Cut> {
        self.number(address.wrapping_add(number.offset.into()), number.size)
    }

    fn word(&mut self, address: u64) -> Result<u64, Cut> {
        self.number(address, 8)
    }

    fn number(&mut self, address: u64, size: u8) -> Result<u64, Cut> {
        let mut bytes = [0; 8];
        let part = bytes.get_mut(..size.into()).ok_or(Cut::Unreadable)?;
        (self.read)(address, part).ok_or(Cut::Unreadable)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
