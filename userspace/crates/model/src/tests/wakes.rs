use super::check;
use crate::Task;
use crate::testing::script::{ends, graph, parents, times, wakes};

#[test]
fn what_they_did() {
    check(wakes, "5/90 wake 7", "7 MadeReady by thread5");
    check(wakes, "5/90 wake 7 notified", "7 FoundReady by thread5");
    check(wakes, "5/90 wake 7 running", "7 FoundRunning by thread5");
    check(wakes, "5/90 wake 7 running notified", "7 FoundRunning by thread5");
    check(wakes, "5/90 spawn 7; 5/90 wake 7 complete", "7 FoundComplete by thread5");
    check(wakes, "5/90 spawn 7; 5/90 wake 7 predicted", "7 FoundReady by thread5");
    check(wakes, "5/90 spawn 7; 5/90 wake 7", "7 MadeReady by thread5");
    check(times, "5/90 wake 7 notified; 5/90 panic", "7 run 0 ready 20 wait 0 busy 0");
    check(times, "5/90 wake 7 running; 5/90 panic", "7 run 20 ready 0 wait 0 busy 20");
}

#[test]
fn those_of_no_task() {
    check(wakes, "5/90 wake 7 stale; 5/90 wake x; 5/90 wake 7 complete; 5/90 wake 7 nothing", "");
    check(wakes, "5/90 spawn 7; 5/90 wake 7 stale", "7 MadeReady by thread5");
    assert_eq!(graph("5/90 wake 7 stale; 5/90 wake x").totals().stale_wakes, 2);
    assert!(graph("5/90 wake 7 stale; 5/90 wake 7 complete").tasks().is_empty());
}

#[test]
fn by_whom() {
    check(wakes, "1/90 poll 5; 1/70 wake 7", "7 MadeReady by 5");
    check(wakes, "1/90 poll 5; 1/70 poll 6; 1/50 wake 7", "7 MadeReady by 6");
    check(wakes, "1/90 poll 5; 1/80 end 5; 1/70 wake 7", "7 MadeReady by runtime");
    check(wakes, "1/90 poll 5; 1/90 wake 7", "7 MadeReady by runtime");
    check(wakes, "1/90 poll 5 cancelled; 1/70 wake 7", "7 MadeReady by 5");
    check(wakes, "1/90 shutdown 5; 1/70 wake 7", "7 MadeReady by 5");
    check(wakes, "1/90 poll 900; 1/70 wake 7", "7 MadeReady by runtime");
    check(wakes, "1/90 poll 900; 1/70 wake 7 io", "7 MadeReady by Io");
    check(wakes, "1/90 poll 900; 1/70 wake 7 time", "7 MadeReady by Time");
    check(wakes, "1/90 poll 900; 1/70 wake 7 defer", "7 MadeReady by own");
    check(wakes, "1/90 poll 900; 1/70 wake 7 beyond", "7 MadeReady by runtime");
    check(wakes, "1/90 poll x; 1/70 wake 7", "7 MadeReady by ?Unseen");
    check(wakes, "attached; 1/70 wake 7", "7 MadeReady by ?BeforeAttach");
    check(wakes, "attached; 1/70 wake 7 io", "7 MadeReady by Io");
    check(wakes, "attached; 3/70 wake 7", "7 MadeReady by thread3");
    check(wakes, "attached; 1/0 rest; 1/70 wake 7", "7 MadeReady by thread1");
}

#[test]
fn of_a_join_handle() {
    let done = "1/90 poll 5; 1/80 end 5 done joined";
    check(wakes, &format!("{done}; 1/70 wake 7 after"), "7 MadeReady by 5");
    // The function that ends the poll may have been jumped to, with the frame's own stack given back.
    check(wakes, "1/80 poll 5; 1/84 end 5 done joined; 1/82 wake 7", "7 MadeReady by ?Unseen");
    check(wakes, "1/80 poll 5; 1/84 end 5 done joined; 1/82 wake 7 after", "7 MadeReady by 5");
    // As many as the proof comes with, by nobody else, and whatever lies in between.
    check(wakes, &format!("{done}; 1/90 wake 7"), "7 MadeReady by runtime");
    check(wakes, &format!("{done}; 1/70 wake 7 io after"), "7 MadeReady by Io");
    check(wakes, &format!("{done}; 1/70 spawn 8 after; 1/70 wake 7 after"), "7 MadeReady by 5");
    check(wakes, &format!("{done}; 1/70 wake 7 after; 1/70 wake 9 over"), "7 MadeReady by 5, 9 MadeReady by runtime");
    check(wakes, &format!("{done}; 1/70 wake 7 over; 1/70 wake 9"), "7 MadeReady by runtime, 9 MadeReady by runtime");
    check(wakes, "1/90 poll 5; 1/80 end 5 done; 1/70 wake 7", "7 MadeReady by runtime");
    check(
        wakes,
        "1/90 poll 3; 1/80 poll 5; 1/70 end 5 done joined; 1/60 wake 7 after; 1/60 wake 9 over",
        "7 MadeReady by 5, 9 MadeReady by 3",
    );
    // What a waker polls lies in it, and what comes after its poll does not.
    check(wakes, &format!("{done}; 1/60 poll 3; 1/50 wake 7 after; 1/55 end 3"), "7 MadeReady by 3");
    check(wakes, &format!("{done}; 1/60 poll 3; 1/55 end 3; 1/58 wake 7 after"), "7 MadeReady by 5");
    check(
        wakes,
        "1/99 poll 3; 1/90 poll 5; 1/80 end 5 done joined; 1/95 end 3; 1/99 poll 9; 1/70 wake 7",
        "7 MadeReady by 9",
    );
}

#[test]
fn of_a_join_handle_without_a_proof() {
    let done = "1/90 poll 5; 1/80 end 5 done joined";
    check(wakes, &format!("{done}; 1/70 wake 7; 1/70 wake 9"), "7 MadeReady by ?Unseen, 9 MadeReady by ?Unseen");
    check(wakes, &format!("{done}; 1/70 wake 7; 1/90 poll 9; 1/70 wake 3"), "7 MadeReady by ?Unseen, 3 MadeReady by 9");
    check(wakes, &format!("{done}; 1/70 wake 7; 1/90 wake 3"), "7 MadeReady by ?Unseen, 3 MadeReady by runtime");
    check(wakes, &format!("{done}; 1/70 wake 7 io"), "7 MadeReady by Io");
    check(wakes, &format!("{done}; 1/0 rest; 1/70 wake 7"), "7 MadeReady by runtime");
    // The code that calls the waker is one, where it is that of the poll alone.
    check(wakes, &format!("{done}; 1/70 wake 7 poll-code; 1/70 wake 9"), "7 MadeReady by 5, 9 MadeReady by ?Unseen");
    check(wakes, "1/90 poll 2; 1/80 poll 5; 1/70 end 5 done joined; 1/60 wake 7 poll-code", "7 MadeReady by 5");
    check(wakes, "1/90 poll 3; 1/80 poll 5; 1/70 end 5 done joined; 1/60 wake 7 poll-code", "7 MadeReady by ?Unseen");
    check(wakes, "1/90 poll 4; 1/80 end 4 done joined; 1/70 wake 7 poll-code", "7 MadeReady by ?Unseen");
    check(wakes, "1/90 poll 5; 1/80 end 5 done detached; 1/70 wake 7 poll-code", "7 MadeReady by ?Unseen");
    // Not all was seen.
    check(wakes, &format!("{done}; 5/0 gap; 1/70 wake 7 after"), "7 MadeReady by ?Gap");
    check(wakes, &format!("{done}; 5/0 gap; 1/70 wake 7 poll-code"), "7 MadeReady by ?Gap");
    check(wakes, "1/70 spawn 8; 1/70 wake 7 after", "7 MadeReady by ?Unseen");
    check(wakes, "1/70 spawn 8; 5/0 gap; 1/70 wake 7 after", "7 MadeReady by ?Gap");
    check(wakes, "attached; 1/80 end 5 done joined; 1/70 wake 7 after", "7 MadeReady by ?BeforeAttach");
}

/// The output of a detached task is dropped where it completes.
#[test]
fn of_an_output_that_nobody_reads() {
    let done = "1/90 poll 5; 1/80 end 5 done detached";
    check(wakes, &format!("{done}; 1/70 wake 7 after; 1/60 wake 9 after"), "7 MadeReady by 5, 9 MadeReady by 5");
    check(wakes, &format!("{done}; 1/70 wake 7 over"), "7 MadeReady by runtime");
    check(wakes, &format!("{done}; 1/70 wake 7"), "7 MadeReady by ?Unseen");
    check(parents, &format!("{done}; 1/70 spawn 8 after; 1/70 spawn 10 over"), "5<?Unseen, 8<5, 10<root1");
    check(parents, &format!("{done}; 1/70 spawn 8; 1/90 spawn 10"), "5<?Unseen, 8<?Unseen, 10<root1");
    check(parents, &format!("{done}; 5/0 gap; 1/70 spawn 8 after"), "5<?Unseen, 8<?Gap");
    check(parents, &format!("{done}; 1/70 spawn 8 after; 5/0 gap 25"), "5<?Unseen, 8<?Gap");
    // Aborted, or shut down: the future is dropped before, the output after.
    check(
        parents,
        "1/90 shutdown 5; 1/70 spawn 8; 1/80 end 5 aborted detached; 1/70 spawn 10 after",
        "5<?Unseen, 8<5, 10<5",
    );
    // A poll in a drop, and a task that completes there.
    let inner = format!("{done}; 1/70 poll 3; 1/50 spawn 8 after; 1/60 end 3 done detached");
    check(parents, &format!("{inner}; 1/50 spawn 10 after"), "5<?Unseen, 3<?Unseen, 8<3, 10<3");
    check(parents, &format!("{inner}; 1/50 spawn 10"), "5<?Unseen, 3<?Unseen, 8<3, 10<?Unseen");
    check(parents, &format!("{inner}; 1/75 spawn 10"), "5<?Unseen, 3<?Unseen, 8<3, 10<?Unseen");
    // Where the waker of a `JoinHandle` spawns, tokio says that no task runs.
    check(parents, "1/90 poll 5; 1/80 end 5 done joined; 1/70 spawn 8 after", "5<?Unseen, 8<root1");
}

/// The task is over: whose poll it is that drops its `JoinHandle`, and so the output, acts.
#[test]
fn of_an_output_that_is_dropped_with_its_handle() {
    let done = "1/90 poll 5; 1/80 end 5 done; 1/90 poll 3";
    check(wakes, &format!("{done}; 1/70 wake 7"), "7 MadeReady by 3");
    check(parents, &format!("{done}; 1/70 spawn 8"), "5<?Unseen, 3<?Unseen, 8<3");
    check(parents, "1/90 poll 5; 1/80 end 5 done; 1/95 spawn 8", "5<?Unseen, 8<root1");
}

#[test]
fn in_a_drivers_turn() {
    check(wakes, "1/90 poll 900; 1/50 wake 7 turn=60; 1/50 wake 9 io=60", "7 MadeReady by Time, 9 MadeReady by Io");
    check(wakes, "1/50 wake 7 turn=60; 1/50 wake 9", "7 MadeReady by Time, 9 MadeReady by thread1");
    check(wakes, "1/90 poll 900; 1/50 wake 7 turn=60 defer", "7 MadeReady by own");
    // A poll around it, and one in it.
    check(wakes, "1/90 poll 3; 1/50 wake 7 turn=60", "7 MadeReady by Time");
    check(wakes, "1/55 poll 3; 1/50 wake 7 turn=60", "7 MadeReady by 3");
    // What completed before has no part in it.
    check(wakes, "1/90 poll 5; 1/80 end 5 done joined; 1/50 wake 7 over turn=60", "7 MadeReady by Time");
    check(wakes, "1/90 poll 5; 1/80 end 5 done joined; 1/50 wake 7 turn=60", "7 MadeReady by Time");
    check(wakes, "1/55 poll 5; 1/52 end 5 done joined; 1/50 wake 7 turn=60", "7 MadeReady by ?Unseen");
    check(wakes, "1/55 poll 5; 1/52 end 5 done joined; 1/50 wake 7 over turn=60", "7 MadeReady by Time");
    check(wakes, "1/55 poll 5; 1/52 end 5 done joined; 1/50 wake 7 after turn=60", "7 MadeReady by 5");
    check(wakes, "1/90 poll 900; 5/0 gap; 1/50 wake 7 turn=60", "7 MadeReady by Time");
}

#[test]
fn a_yield_is_ready_after_its_poll() {
    check(times, "1/90 poll 7; 1/70 wake 7 running; 1/80 end 7 woken; 1/90 poll 7", "7 run 30 ready 10 wait 0 busy 30");
    check(times, "1/90 poll 7; 1/80 end 7; 1/80 wake 7 defer; 1/90 poll 7", "7 run 20 ready 10 wait 10 busy 20");
    // A predicted end of a poll does not know of a wake right after.
    check(times, "1/90 poll 7; 1/80 end 7; 2/80 wake 7 running; 1/90 poll 7", "7 run 20 ready 10 wait 10 busy 20");
}

#[test]
fn aborts() {
    let aborts = |script: &str| graph(script).tasks().values().map(Task::aborts).sum::<u64>();
    assert_eq!(aborts("5/90 abort 7"), 1);
    assert_eq!(aborts("5/90 abort 7; 5/90 abort 7 cancelled notified"), 1);
    assert_eq!(aborts("5/90 abort 7 complete"), 0);
    check(times, "5/90 abort 7; 5/90 panic", "7 run 0 ready 20 wait 0 busy 0");
    check(times, "1/90 poll 7; 2/90 abort 7 running; 1/80 end 7 aborted", "7 run 20 ready 0 wait 0 busy 20");
    check(
        ends,
        "1/90 poll 7; 1/80 end 7; 2/90 abort 7; 1/90 poll 7 cancelled; 1/80 end 7 aborted",
        "7 Cancelled at 50",
    );
}
