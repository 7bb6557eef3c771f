//! Whose samples are: what is claimed of them, and above all what is not.

use crate::Detail;
use crate::testing::sampled;
use crate::testing::script::graph_of;
use asyncscope_trace::event::Running;

/// `7 /a 2`: of task 7, two samples are of a request for /a; in the order of tasks, then of paths.
fn claims(script: &str) -> String {
    let graph = graph_of(&sampled(), script, Detail::Requests);
    let mut claims = std::collections::BTreeMap::new();
    for (key, count) in graph.samples().counts() {
        let Running::Task(id) = key.running else { continue };
        let request = graph.request_of(&key).and_then(|id| graph.request(id));
        let path = request.map_or("-".into(), |request| String::from_utf8_lossy(&request.line.path).into_owned());
        *claims.entry((id.0, path)).or_insert(0) += count;
    }
    claims.iter().map(|((task, path), count)| format!("{task} {path} {count}")).collect::<Vec<_>>().join(", ")
}

fn check(script: &str, expected: &str) {
    assert_eq!(claims(script), expected, "{script}");
}

/// Task 1 serves connection 5.
const BORN: &str = "1/90 born 1 none;";
const READ: &str = "1/90 read GET /a on 5 by=1;";
const ANSWER: &str = "1/90 write 200 on 5 by=1;";

#[test]
fn a_request_has_what_its_task_does_between_the_heads() {
    let (one, sample) = (format!("{READ} 1/90 sample 1 0; {ANSWER}"), "1/90 sample 1 0;");
    check(&format!("{BORN} {sample} {one} {sample}"), "1 - 2, 1 /a 1");
    check(&format!("{BORN} {one} {one}"), "1 /a 2");
    check(&format!("attached; {one}"), "1 /a 1"); // tokio's `CONTEXT` says whose, also of an earlier task
    // Another thread may go on with the task.
    check(&format!("{BORN} {READ} 2/90 sample 1 0; 2/90 write 200 on 5 by=1"), "1 /a 1");
    check(&format!("{BORN} {READ} {sample} 1/90 write 100 on 5 by=1; {sample} {ANSWER}"), "1 /a 2");
}

#[test]
fn what_is_not_seen_to_the_end_is_nobodys() {
    check(&format!("{BORN} {READ} 1/90 sample 1 0"), "1 - 1"); // open at the end
    check(&format!("{BORN} {READ} 1/90 sample 1 0; 1/90 closed 5"), "1 - 1");
    check(&format!("{BORN} {READ} 1/90 sample 1 0; 1/90 lost 5"), "1 - 1");
    check(&format!("{BORN} {READ} 1/90 sample 1 0; 1/90 gap; {ANSWER}"), "1 - 1");
    check(&format!("{BORN} {READ} 1/90 sample 1 0; {ANSWER} 1/90 gap 25"), "1 - 1"); // it reaches back before the answer
    check(&format!("{BORN} {READ} 1/90 sample 1 0; {ANSWER} 1/90 gap 45"), "1 /a 1");
}

#[test]
fn whoever_is_not_named_serves_nobody() {
    for by in ["none", "unknown", "900"] {
        let types = "1/0 typed 900;";
        check(&format!("{types} {BORN} 1/90 read GET /a on 5 by={by}; 1/90 sample 1 0; {ANSWER}"), "1 - 1");
    }
    // The head is read by one task, and the response written by another.
    check(&format!("{BORN} 1/90 born 2 none; {READ} 1/90 sample 1 0; 2/90 write 200 on 5 by=2"), "1 - 1");
    check(&format!("{BORN} {READ} 1/90 sample 1 0; 2/90 write 200 on 5 by=unknown"), "1 - 1");
}

#[test]
fn pipelined_requests_cannot_be_distinguished() {
    let (next, sample) = ("1/90 read GET /b on 5 by=1;", "1/90 sample 1 0;");
    check(&format!("{BORN} {READ} {sample} {next} {ANSWER} {sample} {ANSWER}"), "1 - 2");
    // The body of the response before is still on its way.
    check(
        &format!("{BORN} {READ} {sample} {ANSWER} 1/90 read GET /b on 5 by=1 early=yes; {sample} {ANSWER}"),
        "1 - 1, 1 /a 1",
    );
    check(&format!("{BORN} {READ} {sample} {ANSWER} {next} {sample} {ANSWER}"), "1 /a 1, 1 /b 1");
}

#[test]
fn a_task_of_several_connections_serves_none_of_them_for_itself() {
    let (other, sample) =
        ("1/90 read GET /b on 6 by=1; 1/90 sample 1 0; 1/90 write 200 on 6 by=1;", "1/90 sample 1 0;");
    check(&format!("{BORN} {READ} {sample} {ANSWER} {other}"), "1 - 2");
    check(&format!("{BORN} {READ} {sample} {other} {ANSWER}"), "1 - 2");
    // One after the other is no harm.
    check(&format!("{BORN} {READ} {sample} {ANSWER} 1/90 closed 5; {other}"), "1 /a 1, 1 /b 1");
}

#[test]
fn tasks_spawned_for_a_request_are_its_if_they_are_over_with_it() {
    let spawned = format!("{BORN} {READ} 1/90 born 2 1;");
    check(&format!("{spawned} 2/90 sample 2 0; 2/90 end 2 done; {ANSWER}"), "2 /a 1");
    check(&format!("{spawned} 2/90 sample 2 0; 2/90 end 2 aborted; {ANSWER}"), "2 /a 1");
    check(&format!("{spawned} 2/90 sample 2 0; {ANSWER} 2/90 end 2 done"), "2 - 1"); // it lives on
    check(&format!("{spawned} 2/90 sample 2 0; {ANSWER}"), "2 - 1"); // its end is not seen
    check(&format!("{spawned} 2/90 sample 2 0; 2/90 end 2 done"), "2 - 1"); // not answered
    check(&format!("{spawned} 2/90 sample 2 0; 2/90 end 2 done; 1/90 gap 30; {ANSWER}"), "2 - 1");
    // By a task that was spawned for it, which also has to be over.
    let deeper = format!("{spawned} 2/90 born 4 2; 1/90 sample 4 0; 1/90 end 4 done;");
    check(&format!("{deeper} 2/90 end 2 done; {ANSWER}"), "4 /a 1");
    check(&format!("{deeper} {ANSWER} 2/90 end 2 done;"), "4 - 1");
    // Before, after, and beside.
    check(&format!("{BORN} 1/90 born 2 1; {READ} 2/90 sample 2 0; 2/90 end 2 done; {ANSWER}"), "2 - 1");
    check(&format!("{BORN} {READ} 1/90 born 2 none; 2/90 sample 2 0; 2/90 end 2 done; {ANSWER}"), "2 - 1");
    check(&format!("{BORN} {READ} 1/90 born 2 unknown; 2/90 sample 2 0; 2/90 end 2 done; {ANSWER}"), "2 - 1");
}

#[test]
fn a_pooled_connection_and_an_actor_are_nobodys_from_the_beginning() {
    // Spawned for the first request, it asks for this one and the next.
    let ask = "2/90 write GET /up on 9 by=2; 2/90 sample 2 0; 2/90 read 200 on 9 by=2;";
    let next = format!("1/90 read GET /b on 5 by=1; {ask} {ANSWER}");
    check(&format!("{BORN} {READ} 1/90 born 2 1; {ask} {ANSWER} {next}"), "2 - 2");
    // Even one that is over with the request, and others of its type.
    check(&format!("{BORN} {READ} 1/90 born 2 1; {ask} 2/90 end 2 done; {ANSWER}"), "2 - 1");
    let quiet = "1/90 born 4 1; 2/90 sample 4 0; 2/90 end 4 done;";
    check(&format!("{BORN} {READ} 1/90 born 2 1; {ask} {quiet} {ANSWER}"), "2 - 1, 4 - 1");
    // What asks without anyone seeing it, as over TLS, is given away by living on.
    let silent = "2/90 sample 2 0;";
    check(&format!("{BORN} {READ} 1/90 born 2 1; {silent} {ANSWER} {silent}"), "2 - 2");
    // What it spawns is nobody's, either.
    check(&format!("{BORN} {READ} 1/90 born 2 1; 2/90 born 4 2; 2/90 sample 4 0; 2/90 end 4 done; {ANSWER}"), "4 - 1");
}

/// Task 1 has the HTTP/2 connection 5, and a task of its own for each stream.
#[test]
fn a_streams_task_is_the_one_that_answers_it() {
    let read = "1/90 read GET /a on h5.1 by=1; 1/90 born 2 1;";
    let answer = "2/90 write 200 on h5.1 by=2;";
    let over = "2/90 end 2 done;";
    check(&format!("{BORN} {read} 2/90 sample 2 0; {answer} 2/90 sample 2 0; {over} 1/90 sample 1 0"), "1 - 1, 2 /a 2");
    check(&format!("{BORN} {read} 2/90 sample 2 0; {answer}"), "2 - 1"); // it may yet answer others
    check(&format!("{BORN} {read} 2/90 sample 2 0; {over}"), "2 - 1");
    // One for all streams.
    let both = "1/90 read GET /b on h5.3 by=1; 2/90 sample 2 0; 2/90 write 200 on h5.3 by=2;";
    check(&format!("{BORN} {read} {answer} {both} {over}"), "2 - 1");
    // It was there before, or the connection's task did not spawn it.
    check(&format!("{BORN} 1/90 born 2 1; 1/90 read GET /a on h5.1 by=1; 2/90 sample 2 0; {answer} {over}"), "2 - 1");
    check(
        &format!("{BORN} 1/90 read GET /a on h5.1 by=1; 1/90 born 2 none; 2/90 sample 2 0; {answer} {over}"),
        "2 - 1",
    );
    // What it spawns has to be over when it answers.
    let child = "2/90 born 4 2; 2/90 sample 4 0; 2/90 end 4 done;";
    check(&format!("{BORN} {read} {child} {answer} {over}"), "4 /a 1");
    check(&format!("{BORN} {read} {answer} {child} {over}"), "4 - 1");
    // Two streams at a time, each with its own.
    let second = "1/90 read GET /b on h5.3 by=1; 1/90 born 6 1; 1/90 sample 6 0; 1/90 write 200 on h5.3 by=6;";
    check(&format!("{BORN} {read} {second} 2/90 sample 2 0; {answer} {over} 1/90 end 6 done"), "2 /a 1, 6 /b 1");
}
