use super::check;
use crate::TaskIndex;
use crate::testing::script::{ends, graph, parents, polls, times};

#[test]
fn outcomes() {
    check(polls, "1/90 poll 7; 1/80 end 7", "7@1 10-20 Pending");
    check(polls, "1/90 poll 7; 1/80 end 7 woken", "7@1 10-20 Pending woken");
    check(polls, "1/90 poll 7; 1/80 end 7 done", "7@1 10-20 Ready");
    check(polls, "1/90 poll 7; 1/70 panic; 1/80 end 7 done", "7@1 10-30 Panicked");
    check(polls, "1/90 poll 7; 1/70 panic; 1/80 end 7", "7@1 10-30 Pending");
    check(polls, "1/90 poll 7; 1/80 end 7 aborted", "7@1 10-20 AbortedWhileRunning");
    check(polls, "1/90 poll 7; 1/80 end 7 no-id", "7@1 10-20 Pending");
    check(polls, "1/90 poll x; 1/95 poll 7; 1/80 end 7", "?@1 10- Unknown, 7@1 20-30 Pending");
}

#[test]
fn ends_of_tasks() {
    check(ends, "1/90 poll 7; 1/80 end 7 done", "7 Completed at 20");
    check(ends, "1/90 poll 7; 1/80 end 7", "7 alive");
    check(ends, "1/90 poll 7; 1/70 panic; 1/80 end 7 done", "7 Panicked at 30");
    check(ends, "1/90 poll 7; 1/80 end 7 aborted", "7 AbortedWhileRunning at 20");
    check(ends, "1/90 shutdown 7; 1/80 end 7 done", "7 Cancelled at 20");
    check(ends, "1/90 shutdown 7 running", "");
    check(ends, "1/90 shutdown 7 complete", "");
    check(ends, "1/90 poll 7 cancelled; 1/80 end 7 aborted", "7 Cancelled at 20");
    check(ends, "1/90 poll 7 cancelled; 1/99 panic", "7 Cancelled at 20");
    check(ends, "1/90 poll 7; 1/99 panic; 2/10 wake 7 complete", "7 Unknown at 30");
    // The thread that completed the task reports late, but knows how.
    check(ends, "1/90 poll 7; 2/10 wake 7 complete; 1/80 end 7 done", "7 Completed at 20");
    // A poll and a shutdown race for the task; the poll has it.
    check(ends, "1/90 poll 7; 2/90 shutdown 7; 1/80 end 7 done", "7 Completed at 30");
}

#[test]
fn entries_that_are_no_polls() {
    check(polls, "1/90 poll 7 cancelled; 1/80 end 7 done", "");
    check(polls, "1/90 poll 7 running", "");
    check(polls, "1/90 poll 7 complete", "");
    check(polls, "1/90 poll 7; 1/80 end 7 done; 1/90 poll 7", "7@1 10-20 Ready");
    check(polls, "1/90 poll 7; 1/70 poll 8 running; 1/70 exit; 1/90 exit", "7@1 10-40 Unknown");
}

#[test]
fn an_entry_that_loses_against_a_shutdown_is_no_poll() {
    check(polls, "2/90 shutdown 7; 1/90 poll 7; 1/91 panic; 2/80 end 7 done", "");
    check(polls, "2/90 shutdown 7; 1/90 poll 7; 2/80 end 7 done; 1/91 panic", "");
    check(polls, "2/90 shutdown 7; 1/90 poll 7; 2/80 end 7 done", "");
    check(ends, "2/90 shutdown 7; 1/90 poll 7; 1/91 panic; 2/80 end 7 done", "7 Cancelled at 40");
    // The entry came first, and still lost.
    check(polls, "1/90 poll 7; 2/90 shutdown 7; 1/91 panic; 2/80 end 7 done", "");
    check(polls, "1/90 poll 7; 2/90 shutdown 7; 2/80 end 7 done; 1/91 panic", "");
    check(polls, "1/90 poll 7; 2/90 shutdown 7; 2/80 end 7 done", "");
    check(ends, "1/90 poll 7; 2/90 shutdown 7; 2/80 end 7 done", "7 Cancelled at 30");
    check(parents, "1/90 poll 7; 2/90 shutdown 7; 2/70 spawn 8; 2/80 end 7 done", "7<?Unseen, 8<7");
    check(polls, "1/90 poll 7; 2/90 shutdown 7; 2/91 panic; 1/80 end 7", "7@1 10-40 Pending");
    // One that is polled again since then was one.
    check(
        polls,
        "1/90 poll 7; 1/91 panic; 1/90 poll 7; 1/80 end 7; 2/90 shutdown 7; 2/80 end 7 done",
        "7@1 10- Unknown, 7@1 30-40 Pending",
    );
    let graph = graph("2/90 shutdown 7; 1/90 poll 7; 1/91 panic; 2/80 end 7 done");
    assert_eq!((graph.totals().polls, graph.totals().polls_unended), (0, 0));
}

#[test]
fn nesting() {
    check(polls, "1/90 poll 7; 1/70 poll 8; 1/60 end 8; 1/80 end 7", "8@1 20-30 Pending, 7@1 10-40 Pending nested 10");
    check(
        times,
        "1/90 poll 7; 1/70 poll 8; 1/50 poll 5; 1/40 end 5; 1/60 end 8; 1/80 end 7",
        "7 run 50 ready 0 wait 10 busy 20, 8 run 30 ready 0 wait 20 busy 20, 5 run 10 ready 0 wait 30 busy 10",
    );
    // A cancelled task's future is dropped on the outer task's time.
    check(
        times,
        "1/90 poll 7; 1/70 poll 8 cancelled; 1/60 end 8 done; 1/80 end 7",
        "7 run 30 ready 0 wait 10 busy 20, 8 run 10 ready 0 wait 0 busy 10",
    );
}

#[test]
fn ends_not_seen() {
    check(polls, "1/90 poll 7", "7@1 10- Unknown");
    check(polls, "1/90 poll 7; 1/91 panic", "7@1 10- Unknown");
    check(times, "1/90 poll 7; 1/91 panic; 1/91 panic", "7 run 10 ready 0 wait 20 busy 10");
    check(polls, "1/90 poll 7; 1/90 poll 8; 1/80 end 8", "7@1 10- Unknown, 8@1 20-30 Pending");
    check(polls, "1/90 poll 7; 1/80 poll 7", "7@1 10- Unknown, 7@1 20- Unknown");
    check(polls, "1/90 poll 7; 1/70 poll 8; 1/80 end 7", "8@1 20- Unknown, 7@1 10-30 Pending nested 10");
    check(polls, "1/90 poll 7; 1/90 exit", "7@1 10-20 Unknown");
    check(times, "1/90 poll 7; 1/90 exit; 1/99 panic", "7 run 10 ready 0 wait 20 busy 10");
    let graph = graph("1/90 poll 7; 1/91 panic; 1/90 poll 8");
    assert_eq!((graph.totals().polls, graph.totals().polls_unended), (2, 2));
    assert_eq!(graph.tasks()[TaskIndex::new(0)].polls_unended(), 1);
}

#[test]
fn starts_not_seen() {
    check(polls, "1/80 end 7", "");
    check(ends, "1/80 end 7 done", "7 Completed at 10");
    check(times, "1/80 end 7; 1/99 panic", "7 run 0 ready 0 wait 20 busy 0");
    check(times, "1/80 end 7 woken; 1/99 panic", "7 run 0 ready 20 wait 0 busy 0");
    check(ends, "1/80 end 7 no-id", "");
    assert_eq!(graph("1/80 end 7 no-id").totals().unmatched_poll_ends, 1);
}

#[test]
fn reports_out_of_order() {
    // The end of a poll is reported after the next one began elsewhere.
    check(polls, "1/90 poll 7; 2/90 poll 7; 1/80 end 7; 2/80 end 7", "7@1 10-20 Pending, 7@2 20-40 Pending");
    // A wake after a poll is reported before the poll's end.
    check(times, "1/90 spawn 7; 1/90 poll 7; 2/90 wake 7; 1/80 end 7; 1/99 panic", "7 run 10 ready 40 wait 0 busy 10");
    // A wake is reported after the poll that it led to began.
    check(times, "1/90 poll 7; 1/80 end 7; 1/90 poll 7; 2/90 wake 7; 1/80 end 7", "7 run 30 ready 0 wait 20 busy 30");
}

#[test]
fn addresses_are_reused() {
    check(
        polls,
        "1/90 poll 7; 1/80 end 7 done no-id; 1/90 poll 8@7; 1/80 end 8@7 no-id",
        "7@1 10-20 Ready, 8@1 30-40 Pending",
    );
    check(polls, "1/90 poll 7; 1/70 poll 8@7; 1/80 end 7", "8@1 20- Unknown, 7@1 10-30 Pending nested 10");
}
