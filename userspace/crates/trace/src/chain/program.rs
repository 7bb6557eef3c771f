//! What a walk is given: the layouts of futures, as plain data.

use serde::{Deserialize, Serialize};

use crate::facts::AwaitFrame;

/// The layouts of all futures that tasks of one target can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The source of the layouts.
    #[serde(default)]
    pub source: LayoutSource,
    /// The names of frames, by number.
    pub frames: Vec<AwaitFrame>,
    /// The layouts, by number.
    pub layouts: Vec<Layout>,
    /// The layout behind a boxed future, by its vtable's address; in order.
    pub boxed: Vec<(u64, u32)>,
    /// The layout of a task from its header on, by its task vtable's address; in order.
    pub tasks: Vec<(u64, u32)>,
}

/// The source of layouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayoutSource {
    /// Type information.
    #[default]
    Types,
    /// The machine code of the functions that poll.
    Code,
}

/// One type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The part of the value that distinguishes the variants; `None`: there is one variant, or none.
    pub discriminant: Option<Discriminant>,
    /// The forms that the type can have. The first that fits is meant.
    pub variants: Vec<Variant>,
}

impl Layout {
    /// A type without variants.
    #[must_use]
    pub fn of(variant: Variant) -> Self {
        Self { discriminant: None, variants: vec![variant] }
    }
}

/// An unsigned number in the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discriminant {
    /// In bytes from the value's start.
    pub offset: u32,
    /// In bytes: 1, 2, 4 or 8.
    pub size: u8,
}

/// One variant of an enum or one state of a future; or all of a type that has no variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The discriminant's value; `None`: any other.
    pub value: Option<u64>,
    /// The frame that it is, in [`Program::frames`]; `None`: it only leads on.
    pub frame: Option<u32>,
    /// The thing that it waits for by itself.
    pub leaf: Option<Leaf>,
    /// The futures that it waits for.
    pub edges: Vec<Edge>,
    /// The things that it keeps and others may wait for.
    pub holds: Vec<Hold>,
}

/// A way from one value to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// In bytes from the value's start.
    pub offset: u32,
    /// The way from there to the other.
    pub step: Step,
    /// The other's layout; for [`Step::Boxed`] that of one whose vtable is not known.
    pub to: u32,
    /// Do not go there if this is so.
    pub unless: Option<Unless>,
}

/// The way in which one value holds another. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// It is a part.
    Inside,
    /// By a pointer.
    Pointer {
        /// The other's place, from where the pointer points to.
        add: u32,
    },
    /// By a pointer, and one to its vtable, which says the layout.
    Boxed {
        /// The place of the pointer to the vtable, from the value's start.
        vtable: u32,
    },
    /// By a pointer to several in a row, and their number.
    Slice {
        /// The place of their number, from the value's start.
        count: u32,
        /// The distance from the start of one to that of the next.
        stride: u32,
    },
    /// By a pointer to the first link of a list; each link holds one, and a pointer to the next link.
    Links {
        /// The place of the one that it holds, from the link's start.
        item: u32,
        /// The place of the pointer to the next link, from the link's start; the last one's is 0.
        next: u32,
    },
}

/// A bit in a byte that the value points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unless {
    /// The place of the pointer, in bytes from the value's start.
    pub pointer: u32,
    /// The bit that is set where the branch is off.
    pub bit: u8,
}

/// The wait of a future that waits for no other future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The kind of thing that is waited for.
    pub waits: Waits,
    /// The place of the word that says more, in bytes from the value's start.
    pub word: u32,
    /// The place of a second word, where the first does not suffice.
    pub second: u32,
}

/// Things that are waited for and have more to show than their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Waits {
    /// A moment: seconds of `CLOCK_MONOTONIC` in the word, nanoseconds in the second, of which 32 bits count.
    Until,
    /// A task's end: its header's address in the word.
    Task,
    /// Something in a lock, channel or semaphore: its address in the word.
    Address,
    /// Permits of a semaphore, on which locks and channels are built: its address in the word.
    Permits {
        /// The number that is wanted.
        wanted: Number,
        /// The number of these that are not there yet.
        missing: Number,
    },
}

/// A value that others may wait for, kept by a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The frame that says what it is and where it was kept.
    pub frame: u32,
    /// The place of the pointer to it, in bytes from the value's start.
    pub pointer: u32,
    /// The start of the thing that is waited at, in bytes from what is pointed to.
    pub add: u32,
    /// The thing's length in bytes.
    pub len: u32,
    /// The share of it that is kept.
    pub share: Share,
}

/// The share of a thing that a kept value stands for. Offsets are in bytes from the value's start, of numbers that are
/// eight bytes long, or four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// All there is: nobody else can have any.
    All,
    /// One reader's share of a lock, which others may have as well.
    Reader,
    /// A writer's: as many permits as there are, by the number here.
    Writer(Number),
    /// Permits of a semaphore, which does not know how many there are: as many as the number here says, if that is
    /// known.
    Permits(Option<Number>),
}

/// A number in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number {
    /// In bytes from the value's start.
    pub offset: u32,
    /// In bytes.
    pub size: u8,
}

impl Program {
    /// Fits the vtables' addresses to an image that was moved by this many bytes.
    #[must_use]
    pub fn moved(mut self, by: u64) -> Self {
        for (address, _) in self.boxed.iter_mut().chain(&mut self.tasks) {
            *address = address.wrapping_add(by);
        }
        self.boxed.sort_unstable();
        self.tasks.sort_unstable();
        self
    }

    /// The layout of a task with this task vtable.
    #[must_use]
    pub fn task(&self, vtable: u64) -> Option<u32> {
        of(&self.tasks, vtable)
    }

    /// The layout of a boxed future with this vtable.
    #[must_use]
    pub fn behind(&self, vtable: u64) -> Option<u32> {
        of(&self.boxed, vtable)
    }
}

fn of(table: &[(u64, u32)], address: u64) -> Option<u32> {
    let found = table.binary_search_by_key(&address, |&(address, _)| address).ok()?;
    table.get(found).map(|&(_, layout)| layout)
}
