use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn event(time: u64, cpu: u16, seq: u64) -> Event {
    Event { at: At { time, cpu, seq, tid: 7, sp: 8 }, what: What::Panic }
}

fn round(cpu: u16, attempted: u64, lost: u64) -> CpuRound {
    CpuRound { cpu, attempted, lost }
}

/// An event as `time cpu:seq`, a gap as `since..time cpu:seq -lost`.
fn show(event: &Event) -> String {
    let At { time, cpu, seq, .. } = event.at;
    match event.what {
        What::Gap { since, lost } => format!("{since}..{time} {cpu}:{seq} -{lost}"),
        What::ThreadAtRest => format!("{time} rest"),
        _ => format!("{time} {cpu}:{seq}"),
    }
}

fn pop(order: &mut Order) -> String {
    let mut shown = Vec::new();
    order.pop(&mut |event| shown.push(show(&event)));
    shown.join(", ")
}

fn finish(order: &mut Order) -> String {
    let mut shown = Vec::new();
    order.finish(&mut |event| shown.push(show(&event)));
    shown.join(", ")
}

/// The events of CPU 0 (`time`, `seq`) in one round at time 100 come out as `popped`, and at the end
/// `finished`.
fn check(events: &[(u64, u64)], attempted: u64, lost: u64, popped: &str, finished: &str) {
    let mut order = Order::new(1);
    for &(time, seq) in events {
        order.push(event(time, 0, seq));
    }
    order.drained(&[round(0, attempted, lost)], 100);
    assert_eq!(pop(&mut order), popped);
    assert_eq!(finish(&mut order), finished);
    assert_eq!(finish(&mut order), "", "a second finish has nothing to say");
}

#[test]
fn one_cpu() {
    check(&[], 0, 0, "", "");
    check(&[(10, 0), (20, 1)], 2, 0, "10 0:0, 20 0:1", "");
    check(&[(10, 0), (100, 1)], 2, 0, "10 0:0", "100 0:1");
    check(&[(20, 1), (10, 0)], 2, 0, "10 0:0, 20 0:1", "");
}

#[test]
fn what_is_on_its_way_holds_back() {
    check(&[(10, 0)], 2, 0, "", "10 0:0, 10..100 0:1 -1");
    check(&[(20, 1)], 2, 0, "", "1..20 0:0 -1, 20 0:1");
    // Number 2 was not counted yet: it must not stand in for number 1.
    check(&[(10, 0), (20, 2)], 2, 0, "", "10 0:0, 10..20 0:1 -1, 20 0:2");
}

#[test]
fn losses() {
    check(&[(20, 1)], 2, 1, "1..20 0:0 -1, 20 0:1", "");
    check(&[(10, 0), (20, 3)], 4, 2, "10 0:0, 10..20 0:1 -2, 20 0:3", "");
    check(&[(10, 0), (20, 2), (30, 4)], 5, 2, "10 0:0, 10..20 0:1 -1, 20 0:2, 20..30 0:3 -1, 30 0:4", "");
    check(&[(10, 0)], 4, 3, "10 0:0", "10..100 0:1 -3");
    check(&[], 4, 4, "", "1..100 0:0 -4");
    check(&[(100, 0)], 4, 3, "", "100 0:0, 100..101 0:1 -3");
}

#[test]
fn numbers_and_times_may_disagree() {
    check(&[(30, 0), (10, 1), (20, 2)], 3, 0, "10 0:1, 20 0:2, 30 0:0", "");
    check(&[(30, 0), (10, 2), (20, 3)], 4, 1, "10..10 0:1 -1, 10 0:2, 20 0:3, 30 0:0", "");
    // The holes before 1 and before 3 are two: 1 is there, only later.
    check(&[(30, 1), (20, 3)], 4, 2, "20..20 0:2 -1, 20 0:3, 1..30 0:0 -1, 30 0:1", "");
}

#[test]
fn numbers_that_repeat_or_make_no_sense() {
    check(&[(10, 0), (20, 0), (30, 1)], 2, 0, "10 0:0, 30 0:1", "");
    check(&[(10, u64::MAX)], 0, 0, "1..10 0:0 -18446744073709551615, 10 0:18446744073709551615", "");
    check(&[(u64::MAX, 0)], 1, 0, "", "18446744073709551615 0:0");
    check(&[(10, 0)], u64::MAX, u64::MAX, "10 0:0", "10..100 0:1 -18446744073709551614");
    check(&[(0, 0)], 1, 0, "0 0:0", "");
}

#[test]
fn the_slowest_cpu_decides() {
    let mut order = Order::new(0);
    order.push(event(10, 0, 0));
    order.push(event(20, 1, 0));
    assert_eq!(pop(&mut order), "", "no round, no promise");
    order.drained(&[round(0, 1, 0), round(1, 2, 0)], 50);
    assert_eq!(pop(&mut order), "");
    order.push(event(15, 1, 1));
    order.push(event(55, 0, 1));
    order.drained(&[round(0, 2, 0), round(1, 2, 0)], 60);
    assert_eq!(pop(&mut order), "10 0:0, 15 1:1, 20 1:0, 55 0:1");
}

#[test]
fn a_round_without_a_promise_keeps_the_last() {
    let mut order = Order::new(0);
    order.drained(&[round(0, 0, 0)], 50);
    order.push(event(40, 0, 0));
    order.push(event(60, 0, 1));
    order.drained(&[round(0, 3, 0)], 70);
    assert_eq!(pop(&mut order), "40 0:0");
}

#[test]
fn a_loss_that_goes_on_is_one_gap() {
    let mut order = Order::new(0);
    order.push(event(10, 0, 0));
    order.drained(&[round(0, 3, 2)], 50);
    assert_eq!(pop(&mut order), "10 0:0");
    order.push(event(60, 0, 5));
    order.drained(&[round(0, 6, 4)], 70);
    assert_eq!(pop(&mut order), "10..60 0:1 -4, 60 0:5");
}

#[test]
fn the_limit_forces_the_oldest_out() {
    let mut order = Order::with_limit(0, 2);
    for seq in 1..=4 {
        order.push(event(seq * 10, 0, seq));
    }
    order.drained(&[round(0, 5, 0)], 50);
    assert_eq!(pop(&mut order), "0..10 0:0 -1, 10 0:1, 20 0:2");
    order.push(event(5, 0, 0));
    assert_eq!(order.waiting(), 2);
    assert_eq!(order.irregular(), Irregular { forced: 2, late: 1, repeated: 0 });
    // What came late is no longer waited for.
    order.drained(&[round(0, 5, 0)], 60);
    assert_eq!(pop(&mut order), "30 0:3, 40 0:4");
}

#[test]
fn the_agents_events_have_no_numbers() {
    let rest = |time| Event { what: What::ThreadAtRest, ..event(time, 0, 0) };
    let mut order = Order::new(0);
    order.push(rest(30));
    order.push(rest(10));
    order.push(event(20, 0, 0));
    order.drained(&[round(0, 1, 0)], 50);
    assert_eq!(pop(&mut order), "10 rest, 20 0:0, 30 rest");
    order.push(rest(25));
    assert_eq!(order.irregular().late, 1);
    assert_eq!(finish(&mut order), "");
}

/// One attempt of a simulated CPU to write an event. Times are nanoseconds.
#[derive(Clone, Debug)]
struct Attempt {
    /// From the attempt before to the taking of the number.
    pause: u64,
    /// From there to the reading of the clock.
    clock: u64,
    /// From there until the event is visible in the ring, or counted as lost.
    write: u64,
    lost: bool,
}

/// A simulated CPU: per number, when it was taken, the event, and when that became visible.
struct Cpu(Vec<(u64, Event, u64, bool)>);

impl Cpu {
    fn new(cpu: u16, attempts: &[Attempt]) -> Self {
        let mut now = 1;
        let attempts = attempts.iter().zip(0..).map(|(attempt, seq)| {
            now += attempt.pause;
            let time = now + attempt.clock;
            (now, event(time, cpu, seq), time + attempt.write, attempt.lost)
        });
        Self(attempts.collect())
    }

    fn attempted(&self, now: u64) -> u64 {
        self.0.iter().filter(|(taken, ..)| *taken <= now).count() as u64
    }

    fn lost(&self, now: u64) -> u64 {
        self.0.iter().filter(|(_, _, visible, lost)| *lost && *visible <= now).count() as u64
    }

    /// The ring's events of one stretch of time, in the order in which they became visible.
    fn ring(&self, after: u64, until: u64) -> Vec<Event> {
        let here = self.0.iter().filter(|(_, _, visible, lost)| !lost && (after + 1..=until).contains(visible));
        let mut here: Vec<_> = here.collect();
        here.sort_by_key(|(_, _, visible, _)| *visible);
        here.into_iter().map(|(_, event, ..)| event.clone()).collect()
    }
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let delay = || prop_oneof![4 => 0..3_u64, 1 => 0..40_u64];
    (delay(), delay(), delay(), prop::bool::weighted(0.3)).prop_map(|(pause, clock, write, lost)| Attempt {
        pause,
        clock,
        write,
        lost,
    })
}

/// Runs the drain loop over the CPUs; `steps` are the times that pass between its actions.
fn drain(cpus: &[Cpu], steps: &[[u64; 4]], order: &mut Order) -> Vec<Event> {
    let mut out = Vec::new();
    let (mut now, mut drained) = (0, 0);
    // The last round comes when all is over, as after a detach.
    for [clock, lost, attempted, rings] in steps.iter().copied().chain([[100_000; 4]]) {
        now += clock;
        let time = now;
        now += lost;
        let lost: Vec<_> = cpus.iter().map(|cpu| cpu.lost(now)).collect();
        now += attempted;
        let counts = cpus.iter().zip(lost).zip(0..);
        let round: Vec<_> = counts.map(|((cpu, lost), n)| round(n, cpu.attempted(now), lost)).collect();
        now += rings;
        cpus.iter().flat_map(|cpu| cpu.ring(drained, now)).for_each(|event| order.push(event));
        drained = now;
        order.drained(&round, time);
        order.pop(&mut |event| out.push(event));
    }
    out
}

/// Every hole in the CPU's numbers, as (first, length).
fn holes(cpu: &Cpu) -> BTreeSet<(u64, u64)> {
    let lost: Vec<bool> = cpu.0.iter().map(|(.., lost)| *lost).collect();
    let mut seq = 0;
    let runs = lost.chunk_by(|a, b| a == b).filter_map(|run| {
        let first = seq;
        seq += run.len() as u64;
        run[0].then_some((first, run.len() as u64))
    });
    runs.collect()
}

fn gaps(out: &[Event], cpu: u16) -> BTreeSet<(u64, u64)> {
    let of_cpu = out.iter().filter(|event| event.at.cpu == cpu);
    of_cpu
        .filter_map(|event| match event.what {
            What::Gap { lost, .. } => Some((event.at.seq, lost)),
            _ => None,
        })
        .collect()
}

fn is_gap(event: &Event) -> bool {
    matches!(event.what, What::Gap { .. })
}

proptest! {
    #[test]
    fn what_comes_out_is_what_went_in_sorted(
        attempts in vec(vec(attempt(), 0..60), 1..4),
        steps in vec([0..30_u64, 0..5, 0..5, 0..20], 0..20),
    ) {
        let cpus: Vec<_> = attempts.iter().zip(0..).map(|(attempts, cpu)| Cpu::new(cpu, attempts)).collect();
        let mut order = Order::new(1);
        let mut out = drain(&cpus, &steps, &mut order);
        prop_assert_eq!(order.waiting(), 0, "the last round must let everything go");
        order.finish(&mut |event| out.push(event));

        prop_assert!(out.is_sorted_by(|a, b| a.at < b.at));
        let mut written: Vec<_> = cpus.iter().flat_map(|cpu| cpu.ring(0, u64::MAX)).collect();
        written.sort_by_key(|event| event.at);
        let seen: Vec<_> = out.iter().filter(|event| !is_gap(event)).cloned().collect();
        prop_assert_eq!(seen, written);
        for (cpu, n) in cpus.iter().zip(0..) {
            prop_assert_eq!(gaps(&out, n), holes(cpu));
        }
        prop_assert_eq!(order.irregular(), Irregular::default());
    }

    /// Numbers, times and counts that no probe would write: no panic, and still in order.
    #[test]
    fn nonsense_stays_in_order(
        rounds in vec((vec((0..50_u64, 0..3_u16, 0..20_u64), 0..20), [any::<u64>(), any::<u64>()], 0..60_u64), 0..8),
        limit in 0..30_usize,
    ) {
        let mut order = Order::with_limit(0, limit);
        let mut out = Vec::new();
        for (events, [attempted, lost], time) in rounds {
            for (time, cpu, seq) in events {
                order.push(event(time, cpu, seq));
            }
            order.drained(&[round(0, attempted, lost), round(1, attempted % 20, lost % 3)], time);
            order.pop(&mut |event| out.push(event));
            prop_assert!(order.waiting() <= limit);
        }
        order.finish(&mut |event| out.push(event));
        prop_assert!(out.is_sorted_by_key(|event| event.at));
    }

    /// However little may wait, each number is either there or part of a gap.
    #[test]
    fn forcing_loses_count_of_nothing(attempts in vec(attempt(), 0..60), steps in vec([0..30_u64, 0..5, 0..5, 0..20], 0..20), limit in 0..5_usize) {
        let cpu = Cpu::new(0, &attempts);
        let total = attempts.len() as u64;
        let mut order = Order::with_limit(1, limit);
        let mut out = drain(&[cpu], &steps, &mut order);
        order.finish(&mut |event| out.push(event));
        let mut seen = BTreeSet::new();
        for event in &out {
            let count = if let What::Gap { lost, .. } = event.what { lost } else { 1 };
            for seq in event.at.seq..event.at.seq + count {
                prop_assert!(seen.insert(seq), "{} is there twice", seq);
            }
        }
        prop_assert_eq!(seen.len() as u64, total);
        prop_assert!(out.is_sorted_by(|a, b| a.at < b.at));
    }
}
