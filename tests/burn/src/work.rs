//! Functions that burn CPU time, each with its own account of it.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::time::{ClockId, clock_gettime};

/// Some milliseconds' worth.
const ROUNDS: u64 = 800_000;

/// The functions that burn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    Mix,
    Sort,
    Sieve,
    /// For work that is no request's.
    Foreign,
}

impl Function {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::Sort => "sort",
            Self::Sieve => "sieve",
            Self::Foreign => "foreign",
        }
    }
}

/// Burns in this function; how many nanoseconds of CPU time that took this thread.
#[inline(always)]
pub(crate) fn timed(function: Function, seed: u64) -> u64 {
    let before = thread_ns();
    match function {
        Function::Mix => drop(black_box(mix(seed))),
        Function::Sort => drop(black_box(sort(seed))),
        Function::Sieve => drop(black_box(sieve(seed))),
        Function::Foreign => drop(black_box(foreign(seed))),
    }
    thread_ns().saturating_sub(before)
}

/// Nanoseconds of CPU time by task type and function.
#[derive(Debug, Default)]
pub(crate) struct Account([AtomicU64; 4]);

impl Account {
    /// Burns in this function, and books what that took this thread.
    #[inline(always)]
    pub(crate) fn burn(&self, function: Function, seed: u64) {
        self.0[function as usize].fetch_add(timed(function, seed), Ordering::Relaxed);
    }

    /// By function, in its order.
    pub(crate) fn reported(&self) -> [u64; 4] {
        std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))
    }
}

fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

#[inline(never)]
fn mix(seed: u64) -> u64 {
    (0..ROUNDS).fold(seed, |value, round| (value ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17))
}

#[inline(never)]
fn foreign(seed: u64) -> u64 {
    (0..ROUNDS).fold(seed, |value, round| (value ^ round).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(23))
}

#[inline(never)]
fn sort(seed: u64) -> u64 {
    let mut values: [u64; 64] = std::array::from_fn(|at| seed.wrapping_mul(at as u64 + 1));
    for round in 0..ROUNDS / 1_200 {
        // By hand: a library's sort would be a function of its own.
        for at in 1..values.len() {
            let mut place = at;
            while place > 0 && values[place - 1] > values[place] {
                values.swap(place - 1, place);
                place -= 1;
            }
        }
        values.iter_mut().for_each(|value| *value = value.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ round);
    }
    values[0]
}

#[inline(never)]
fn sieve(seed: u64) -> u64 {
    let mut composite = [false; 4096];
    let mut primes = seed;
    for _ in 0..ROUNDS / 8_000 {
        black_box(&mut composite).fill(false);
        for number in 2..composite.len() {
            if !composite[number] {
                primes += 1;
                (number * 2..composite.len()).step_by(number).for_each(|multiple| composite[multiple] = true);
            }
        }
    }
    primes
}
