use crate::testing::script::with_long_polls;
use crate::{Graph, OffCpuIn};

/// `1 10-30: 2 for 10`; `off_cpu 5 at 3`, `open` where they apply.
fn reported(graph: &Graph) -> String {
    let polls = graph.long_polls().polls().iter().map(|poll| {
        let delayed = poll.delayed.iter().map(|task| format!(" {} for {}", task.task.0, poll.delay_ns(task)));
        let open = if poll.open { " open" } else { "" };
        let at = poll.off_cpu_at.map_or(String::new(), |at| match at.place {
            OffCpuIn::Stack(stack) => format!(" off-CPU {} at {stack}", at.ns),
            OffCpuIn::Trap => format!(" off-CPU {} in the trap", at.ns),
        });
        let awaited = poll.awaited.map_or(String::new(), |chain| format!(" after {chain}"));
        let delayed: Vec<String> = delayed.collect();
        format!("{} {}-{}{open}{at}{awaited}:{}", poll.task.0, poll.start_ns, poll.end_ns, delayed.join(","))
    });
    polls.collect::<Vec<_>>().join("; ")
}

fn check(script: &str, min_ns: u64, expected: &str) {
    assert_eq!(reported(&with_long_polls(script, min_ns)), expected, "{script}");
}

#[test]
fn what_a_thread_takes_next_was_delayed() {
    check("1/90 poll 1; 1/70 spawn 2; 1/80 end 1; 1/90 poll 2; 1/80 end 2", 20, "1 10-30: 2 for 10");
    // Woken by another thread, and before the poll began.
    check("2/90 spawn 2; 1/90 poll 1; 1/80 end 1; 1/90 poll 2; 1/80 end 2", 5, "1 20-30: 2 for 10; 2 40-50:");
    let waits_behind_two =
        "2/90 spawn 2; 1/90 poll 1; 1/80 end 1; 1/90 poll 3; 1/80 end 3; 1/90 poll 2; 1/80 end 2 done";
    check(waits_behind_two, 10, "1 20-30: 2 for 10; 3 40-50: 2 for 10; 2 60-70:");
}

#[test]
fn what_is_not_proved_is_not_reported() {
    // Another thread takes it.
    check("1/90 poll 1; 1/70 spawn 2; 1/80 end 1; 2/90 poll 2; 2/80 end 2", 20, "1 10-30:");
    // It was ready only afterwards.
    check("1/90 poll 1; 1/80 end 1; 1/90 spawn 2; 1/90 poll 2; 1/80 end 2", 10, "1 10-20:; 2 40-50:");
    // It waited meanwhile, and its wake was not seen.
    check("1/90 poll 2; 1/80 end 2; 1/90 poll 1; 1/80 end 1; 1/90 poll 2", 10, "2 10-20:; 1 30-40:; 2 50-60 open:");
    // Too short.
    check("1/90 poll 1; 1/70 spawn 2; 1/80 end 1; 1/90 poll 2; 1/80 end 2", 25, "");
    // A blocking closure, and a worker's own poll.
    check("1/90 poll 900; 1/70 spawn 3 blocking; 2/90 poll 3; 2/80 end 3 done; 1/80 end 900", 5, "");
}

#[test]
fn delays_beyond_those_looked_at_are_counted() {
    let polls = |many: usize| {
        let others = "1/90 poll 1; 1/80 end 1; ".repeat(many);
        let graph = with_long_polls(&format!("2/90 spawn 2; {others}1/90 poll 2; 1/80 end 2 done"), 10);
        let delayed: usize = graph.long_polls().polls().iter().map(|poll| poll.delayed.len()).sum();
        (delayed, graph.long_polls().delays_not_kept)
    };
    assert_eq!(polls(256), (256, 0));
    assert_eq!(polls(300), (256, 44));
}

#[test]
fn nested_polls_are_their_own() {
    let script = "1/90 poll 1; 1/80 poll 3; 1/60 spawn 2; 1/70 end 3; 1/80 poll 2; 1/70 end 2 done; 1/80 end 1";
    check(script, 20, "3 20-40: 2 for 10; 1 10-70:");
}

#[test]
fn polls_that_do_not_end_are_reported() {
    check("1/90 poll 1; 1/70 spawn 2; 2/90 poll 4; 2/80 end 4", 30, "1 10-50 open:");
}

#[test]
fn where_it_was_off_the_cpu_for_longest() {
    let script = "1/90 poll 1; 1/80 awaited 1 7; 1/50 off-cpu 25 3; 1/50 off-cpu 31 4; 1/50 off-cpu 45; 1/80 end 1";
    check(script, 20, "1 10-60 off-CPU 9 at 4 after 7:");
}

#[test]
fn what_asyncscope_s_own_trap_took_is_no_function_s() {
    let script = "1/90 poll 1; 1/50 off-cpu 15 trap; 1/50 off-cpu 22 3; 1/50 off-cpu 31; 1/80 end 1";
    check(script, 20, "1 10-50 off-CPU 8 at 3:");
    let longest = "1/90 poll 1; 1/50 off-cpu 11 trap; 1/50 off-cpu 22 3; 1/50 off-cpu 31; 1/80 end 1";
    check(longest, 20, "1 10-50 off-CPU 9 in the trap:");
    let graph = with_long_polls(longest, 20);
    let of_poll = graph.long_polls().polls().first().map(|poll| (poll.off_cpu_ns, poll.trap_ns));
    let of_task = graph.tasks().values().next().map(|task| (task.times().off_cpu_ns, task.times().trap_ns));
    assert_eq!((of_poll, of_task), (Some((26, 9)), Some((26, 9))));
    // A recording may say what no probe does: the trap, and a stack.
    check("1/90 poll 1; 1/50 off-cpu 11 3 trap; 1/80 end 1", 20, "1 10-30 off-CPU 9 in the trap:");
}

#[test]
fn what_is_reported_of_a_stack_is_no_activity() {
    let script = "1/90 poll 1; 1/0 code 16 svc::naps; 1/0 stack 5 poll 16; 1/50 off-cpu 12 5; 1/80 end 1";
    check(script, 20, "1 10-50 off-CPU 28 at 5:");
}

#[test]
fn a_gap_leaves_it_out() {
    let count = |script: &str| {
        let graph = with_long_polls(script, 20);
        (reported(&graph), graph.long_polls().doubtful)
    };
    let of_the_poll = "1/90 poll 1; 1/70 spawn 2; 2/0 gap 15; 1/80 end 1; 1/90 poll 2; 1/80 end 2";
    assert_eq!(count(of_the_poll), (String::new(), 1));
    // Reported after all was over.
    let of_the_delay = "1/90 poll 1; 1/70 spawn 2; 1/80 end 1; 1/90 poll 2; 1/80 end 2; 2/0 gap 35";
    assert_eq!(count(of_the_delay), ("1 10-30:".to_owned(), 1));
    let before = "2/0 gap 0; 1/90 poll 1; 1/70 spawn 2; 1/80 end 1; 1/90 poll 2; 1/80 end 2";
    assert_eq!(count(before), ("1 20-40: 2 for 10".to_owned(), 0));
}
