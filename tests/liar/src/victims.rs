//! Tasks that wait for ever, and whose memory is overwritten meanwhile.
//!
//! That a `JoinHandle` is a pointer to the task's header, and how that begins, is tokio's own affair:
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.54.1/tokio/src/runtime/task/core.rs>. Where it is otherwise,
//! this program breaks and not asyncscope.

use std::future::{Future, pending};
use std::mem::transmute_copy;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const OF_EACH_KIND: usize = 40;
/// Words of a header: the state, a queue's link, the vtable.
const VTABLE: usize = 2;
/// Words of a task vtable: behind seven functions, where a task has its trailer, its scheduler and its id.
const TRAILER_OFFSET: usize = 7;
const ID_OFFSET: usize = 9;
/// Words of a trailer that are overwritten: the links to other tasks are among them.
const TRAILER_WORDS: usize = 4;
/// The bit of a state that says that the task is polled.
const RUNNING: u64 = 1;

pub(crate) struct Victims(Vec<Cell>);

/// A task: where its header is, how many words it has, where its id is.
#[derive(Clone, Copy)]
struct Cell {
    header: *mut u64,
    words: usize,
    id: usize,
}

// SAFETY: the cells are never freed: their runtime is leaked, and none of them ever ends.
unsafe impl Send for Victims {}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

fn deep(levels: u32) -> Boxed {
    Box::pin(async move { if levels == 0 { pending().await } else { deep(levels - 1).await } })
}

async fn several() {
    drop(join_all((0..4).map(deep)).await);
}

async fn unordered() {
    let mut all: FuturesUnordered<Boxed> = (0..4).map(deep).collect();
    all.next().await;
}

async fn told() {
    let (keep, told) = oneshot::channel::<()>();
    let _ = told.await;
    drop(keep);
}

async fn joins() {
    let _ = tokio::spawn(told()).await;
}

/// Starts them, and waits until each waits.
pub(crate) fn start(runtime: &Runtime) -> Victims {
    let mut tasks: Vec<JoinHandle<()>> = Vec::new();
    for _ in 0..OF_EACH_KIND {
        tasks.push(runtime.spawn(deep(12)));
        tasks.push(runtime.spawn(several()));
        tasks.push(runtime.spawn(unordered()));
        tasks.push(runtime.spawn(told()));
        tasks.push(runtime.spawn(joins()));
    }
    // Behind them in the queue: each has been polled when this has.
    drop(runtime.block_on(runtime.spawn(async { tokio::time::sleep(Duration::from_millis(1)).await })));
    let cells: Vec<Cell> = tasks.iter().map(Cell::of).collect();
    tasks.into_iter().for_each(std::mem::forget);
    while cells.iter().any(|cell| cell.read(0) & RUNNING != 0) {
        std::thread::yield_now();
    }
    Victims(cells)
}

impl Cell {
    fn of(task: &JoinHandle<()>) -> Self {
        // SAFETY: see the module.
        let header: *mut u64 = unsafe { transmute_copy(task) };
        // SAFETY: a header has a vtable, which has these words.
        let (trailer, id) = unsafe {
            let vtable = header.add(VTABLE).read() as *const u64;
            (vtable.add(TRAILER_OFFSET).read(), vtable.add(ID_OFFSET).read())
        };
        Self { header, words: trailer as usize / 8 + TRAILER_WORDS, id: id as usize / 8 }
    }

    fn read(self, word: usize) -> u64 {
        // SAFETY: the word is the cell's.
        unsafe { self.header.add(word).read_volatile() }
    }

    fn write(self, word: usize, value: u64) {
        // SAFETY: the word is the cell's, and nothing but this program's lies ever uses it.
        unsafe { self.header.add(word).write_volatile(value) };
    }
}

impl Victims {
    /// Lies without an end: one kind of lie at a time, of which each is let stand for a while.
    pub(crate) fn lie(self) {
        let honest: Vec<Vec<u64>> =
            self.0.iter().map(|cell| (0..cell.words).map(|word| cell.read(word)).collect()).collect();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0_u64.. {
            for (cell, honest) in self.0.iter().zip(&honest) {
                honest.iter().enumerate().for_each(|(word, &value)| cell.write(word, value));
            }
            for (at, cell) in self.0.iter().enumerate() {
                self.one(round, at, *cell, &mut random);
            }
            std::thread::sleep(Duration::from_millis(if round % 8 == 0 { 20 } else { 2 }));
        }
    }

    fn one(&self, round: u64, at: usize, cell: Cell, random: &mut Random) {
        let other = self.0[random.below(self.0.len())];
        match round % 6 {
            // Ids that repeat.
            0 => cell.write(cell.id, 7),
            // Links that lead in a ring, to the task itself, or into nothing.
            1 => (cell.words - TRAILER_WORDS..cell.words).for_each(|word| cell.write(word, self.word(at, random))),
            // The vtable of another type: what is behind the header is taken for what it is not.
            2 => cell.write(VTABLE, other.read(VTABLE)),
            // States that no task has.
            3 => cell.write(0, random.next()),
            // Futures that point to themselves, to each other, to nothing, or are without an end.
            4 => (VTABLE + 2..cell.words).for_each(|word| {
                if cell.read(word) > u64::from(u32::MAX) {
                    cell.write(word, self.word(at, random));
                }
            }),
            _ => (VTABLE + 2..cell.words).for_each(|word| cell.write(word, self.word(at, random))),
        }
    }

    /// A word that misleads.
    fn word(&self, at: usize, random: &mut Random) -> u64 {
        let own = self.0[at];
        let other = self.0[random.below(self.0.len())];
        match random.below(10) {
            0 => own.header as u64,
            1 => own.header as u64 + 8 * random.below(own.words) as u64,
            2 => other.header as u64,
            3 => other.read(random.below(other.words)),
            4 => 0,
            5 => 0x1000,
            6 => u64::MAX - 7,
            7 => 0xffff_8880_0000_0000,
            8 => random.next() % 5,
            _ => random.next(),
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}
