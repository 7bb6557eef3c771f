use super::check;
use crate::testing::script::{graph, parents, polls, requests, wakes};

#[test]
fn no_parent_is_invented() {
    check(parents, "1/90 poll 7; 5/0 gap; 1/70 spawn 8", "7<?Unseen, 8<?Gap");
    check(parents, "5/0 gap; 1/70 spawn 8", "8<?Gap");
    check(parents, "5/0 gap; 1/90 poll 7; 1/70 spawn 8", "7<?Gap, 8<7");
    check(parents, "5/0 gap; 1/90 poll 7; 1/80 end 7; 1/70 spawn 8", "7<?Gap, 8<?Gap");
    check(parents, "5/0 gap; 1/0 rest; 1/70 spawn 8", "8<root1");
    check(parents, "5/0 gap; 1/0 rest; 5/0 gap; 1/70 spawn 8", "8<?Gap");
    check(parents, "1/90 poll 7; 5/0 gap; 1/0 rest; 1/70 spawn 8", "7<?Unseen, 8<root1");
    check(parents, "1/90 poll 900; 5/0 gap; 1/70 spawn 8", "900<?Unseen, 8<?Gap");
    check(parents, "1/90 poll 900; 5/0 gap; 1/0 rest; 1/70 spawn 8", "900<?Unseen, 8<root1");
    check(parents, "attached; 5/0 gap; 1/70 spawn 8", "8<?BeforeAttach");
    check(parents, "attached; 5/0 gap; 9/70 spawn 8", "8<?Gap");
}

#[test]
fn what_was_concluded_inside_is_taken_back() {
    check(parents, "attached; 3/90 poll 7; 5/0 gap 10", "7<?Gap");
    check(parents, "attached; 3/90 poll 7; 5/0 gap 20", "7<?BeforeAttach");
    check(parents, "1/90 poll 7; 1/70 spawn 8; 5/0 gap 20", "7<?Unseen, 8<?Gap");
    check(parents, "1/90 poll 7; 1/70 spawn 8; 5/0 gap 21", "7<?Unseen, 8<7");
    check(parents, "1/90 poll 7; 1/70 spawn 8; 5/0 gap 30; 5/0 gap 10", "7<?Unseen, 8<?Gap");
    check(wakes, "1/90 poll 7; 1/70 wake 7 running; 5/0 gap 20", "7 FoundRunning by ?Gap");
    check(polls, "1/90 poll 7; 1/80 end 7; 5/0 gap 20", "7@1 10-20 Pending doubtful");
    check(polls, "1/90 poll 7; 1/80 end 7; 5/0 gap 25", "7@1 10-20 Pending");
}

#[test]
fn whose_poll_a_head_was_read_in_is_not_known_inside_of_one() {
    check(requests, "1/90 poll 7; 1/80 read GET /a on 5; 5/0 gap 20", "GET /a 20-30 Unknown");
    check(requests, "1/90 poll 7; 1/80 read GET /a on 5; 5/0 gap 15", "GET /a 20-30 Unknown");
    check(requests, "1/90 poll 7; 1/80 read GET /a on 5; 5/0 gap 21", "GET /a 20-30 Unknown by 7");
    check(requests, "1/90 poll 7; 1/80 read GET /a on 5; 1/80 write 200 on 5; 5/0 gap 20", "GET /a 20-30 Unknown");
}

#[test]
fn polls_across_one_are_doubtful_but_count() {
    check(polls, "1/90 poll 7; 5/0 gap; 1/80 end 7", "7@1 10-30 Pending doubtful");
    check(polls, "1/90 poll 7; 5/0 gap; 1/90 poll 7; 1/80 end 7", "7@1 10- Unknown doubtful, 7@1 30-40 Pending");
    check(wakes, "1/90 poll 7; 5/0 gap; 1/70 wake 9", "9 MadeReady by ?Gap");
    check(wakes, "1/90 poll 7; 1/80 end 7 done joined; 5/0 gap; 1/70 wake 9", "9 MadeReady by ?Gap");
    check(wakes, "5/0 gap; 1/70 wake 9 time", "9 MadeReady by Time");
}

#[test]
fn they_are_counted() {
    let graph = graph("5/0 gap; 5/0 gap 5");
    assert_eq!((graph.totals().gaps, graph.totals().lost), (2, 6));
    assert_eq!((graph.gaps()[1].since_ns, graph.gaps()[1].until_ns), (5, 20));
}
