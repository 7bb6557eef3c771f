use super::check;
use crate::log_lines::LINE_MAX;
use crate::testing::script::{graph, graph_with, log_lines, with_log_lines};
use crate::{Detail, LineCut};

#[test]
fn a_line_is_of_the_task_polled_on_its_thread() {
    check(log_lines, "1/90 poll 7; 1/80 out a\\n; 1/80 end 7; 1/80 err b\\n", "out a by 7, err b");
    check(log_lines, "1/90 poll 900; 1/80 out a\\n; 1/70 poll 7; 1/60 out b\\n", "out a, out b by 7");
    // Its frame has returned.
    check(log_lines, "1/90 poll 7; 1/95 out a\\n", "out a");
    check(log_lines, "1/90 poll 7; 2/80 out a\\n", "out a");
}

#[test]
fn lines_are_divided_and_put_together() {
    check(
        log_lines,
        "1/80 out a\\nb\\n\\nc; 1/80 out d\\n; 1/80 err e; 1/80 out f\\n",
        "out a, out b, out , out cd, out f, err e Open",
    );
    check(log_lines, "1/90 poll 7; 1/80 out a; 1/80 out b\\n", "out ab by 7");
    // Two tasks had a part in it.
    check(
        log_lines,
        "1/90 poll 7; 2/90 poll 9; 1/80 out a; 2/80 out b\\nc\\n",
        "out ab of several threads, out c by 9",
    );
    check(log_lines, "1/90 poll 7; 1/80 out a; 2/80 out \\n", "out a of several threads");
}

#[test]
fn a_line_is_of_the_request_that_its_task_served_then() {
    let script = "1/90 poll 7; 1/80 out a\\n; 1/80 read GET /a on 5; 1/80 out b\\n; 1/80 write 200 on 5; 1/80 out c\\n; \
                  1/80 read GET /b on 5; 1/80 out d\\n";
    check(log_lines, script, "out a by 7, out b by 7 for /a, out c by 7, out d by 7 for /b");
    check(
        log_lines,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/70 spawn 8; 2/90 poll 8; 2/80 out a\\n; 1/80 write 200 on 5; 2/80 err b\\n",
        "out a by 8 for /a, err b by 8 for /a",
    );
    // Begun for one request, and ended for the next.
    check(
        log_lines,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 out a; 1/80 write 200 on 5; 1/80 read GET /b on 5; 1/80 out b\\n",
        "out ab by 7",
    );
}

#[test]
fn an_actors_line_is_of_the_request_that_it_works_for() {
    let asked = "1/90 poll 7; 1/80 read GET /a on 5; 1/80 wake 2; 2/90 poll 2; 2/80 out a\\n; 2/80 wake 7 running; 2/80 out b\\n; 2/80 end 2; 1/80 end 7";
    check(log_lines, asked, "out a by 2 for /a, out b by 2");
    let unasked = "2/90 poll 2; 1/90 poll 7; 1/80 read GET /a on 5; 2/80 out a\\n; 2/80 wake 7 running; 2/80 end 2";
    check(log_lines, unasked, "out a by 2");
}

#[test]
fn what_a_gap_may_have_changed_is_not_claimed() {
    check(
        log_lines,
        "1/90 poll 7; 1/80 out a\\n; 1/80 out b\\n; 1/80 out c; 5/0 gap 25; 1/80 out d\\ne\\n",
        "out a by 7, out b ?Gap, out c ?Gap Doubtful, out d ?Gap Doubtful, out e ?Gap",
    );
    check(
        log_lines,
        "attached;1/80 out a\\nb\\n; 3/80 out c\\n",
        "out a ?BeforeAttach Doubtful, out b ?BeforeAttach, out c",
    );
}

#[test]
fn what_is_missing_of_a_call_is_said() {
    check(log_lines, "1/80 out a\\nb +5; 1/80 out c\\nd\\n", "out a, out bc Long, out d");
    check(log_lines, "1/80 out a\\nb +5n; 1/80 out c\\n", "out a, out b Long, out c");
    check(log_lines, "1/80 out +5n; 1/80 out c\\n", "out  Long, out c");
    assert_eq!(graph("1/80 out a +5; 1/80 out b +6").totals().print_bytes_missing, 11);
}

#[test]
fn lines_and_their_number_are_bounded() {
    let long = "x".repeat(LINE_MAX - 1);
    let graph = graph(&format!("1/80 out {long}; 1/80 out yyy; 1/80 out z\\n; 1/80 out {long}y\\n"));
    let lines: Vec<_> = graph.log_lines().map(|(_, line)| (line.text.len(), line.cut)).collect();
    assert_eq!(lines, [(LINE_MAX, Some(LineCut::Long)), (LINE_MAX, None)]);
    let few = with_log_lines(&"1/80 out abc\\n;".repeat(1000), Some(10_000));
    let totals = few.totals();
    assert_eq!((totals.lines, few.log_lines().len() as u64), (1000, 1000 - totals.lines_dropped));
    assert!(totals.lines_dropped > 800, "{totals:?}");
    assert_eq!(with_log_lines("1/80 out abc\\n", None).log_lines().len(), 0);
}

#[test]
fn lines_that_were_reported_leave() {
    let mut graph = graph_with("1/80 out a\\nb\\n; 1/80 out c", Detail::Totals);
    let ids: Vec<_> = graph.log_lines().map(|(id, _)| id).collect();
    graph.evict_log_lines(&ids[..2]);
    assert_eq!(graph.log_lines_after(ids[0]).map(|(_, line)| line.text.to_vec()).collect::<Vec<_>>(), [b"c"]);
    assert!(graph.line(ids[0]).is_none() && graph.line(ids[2]).is_some());
}
