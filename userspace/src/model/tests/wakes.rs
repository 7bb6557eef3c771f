use super::check;
use super::script::{ends, graph, times, wakes};

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
    check(wakes, "1/90 poll 5; 1/80 end 5 done joined; 1/70 wake 7", "7 MadeReady by 5");
    // The function that ends the poll may have been jumped to, with the frame's own stack given back.
    check(wakes, "1/80 poll 5; 1/84 end 5 done joined; 1/82 wake 7", "7 MadeReady by 5");
    // One wake, by nobody else, and nothing in between.
    let done = "1/90 poll 5; 1/80 end 5 done joined";
    check(wakes, &format!("{done}; 1/90 wake 7"), "7 MadeReady by runtime");
    check(wakes, &format!("{done}; 1/70 wake 7 io"), "7 MadeReady by Io");
    check(wakes, &format!("{done}; 1/70 spawn 8; 1/70 wake 7"), "7 MadeReady by runtime");
    check(wakes, &format!("{done}; 1/70 wake 7; 1/70 wake 9"), "7 MadeReady by 5, 9 MadeReady by runtime");
    check(wakes, "1/90 poll 5; 1/80 end 5 done; 1/70 wake 7", "7 MadeReady by runtime");
    check(
        wakes,
        "1/90 poll 3; 1/80 poll 5; 1/70 end 5 done joined; 1/60 wake 7; 1/60 wake 9",
        "7 MadeReady by 5, 9 MadeReady by 3",
    );
}

#[test]
fn a_yield_is_ready_after_its_poll() {
    check(times, "1/90 poll 7; 1/70 wake 7 running; 1/80 end 7 woken; 1/90 poll 7", "7 run 30 ready 10 wait 0 busy 30");
    check(times, "1/90 poll 7; 1/80 end 7; 1/80 wake 7 defer; 1/90 poll 7", "7 run 20 ready 10 wait 10 busy 20");
    // A foretold end of a poll does not know of a wake right after.
    check(times, "1/90 poll 7; 1/80 end 7; 2/80 wake 7 running; 1/90 poll 7", "7 run 20 ready 10 wait 10 busy 20");
}

#[test]
fn aborts() {
    let aborts = |script: &str| graph(script).tasks().iter().map(|task| task.aborts()).sum::<u64>();
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
