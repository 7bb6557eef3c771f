use super::{facts, text};
use crate::lost::Lost;
use crate::select::Selection;
use crate::{json, log_lines, request};
use asyncscope_model::testing::script;
use asyncscope_trace::facts::Facts;

/// Task 1 serves `/a`, has task 2 do something, and goes on to `/b`.
const TWO: &str = "1/80 err outside\\n; 1/90 poll 1; 1/80 read GET /a on 5 id=a-b; 1/70 spawn 2; 1/80 out one\\n; 2/90 poll 2; 2/80 err two; 1/80 write 200 on 5; 1/80 read GET /b on 5; 1/80 out \u{1b}[31m</script>\\n";

fn captured() -> Facts {
    Facts { logs: true, ..facts("svc::handle") }
}

fn shown(script: &str, only: Option<&str>) -> String {
    let graph = script::graph(script);
    let selection = Selection { id: only.map(str::to_owned), ..Selection::default() };
    let only = only.map(|_| selection.requests(&graph).unwrap());
    text(|out| log_lines::write(&graph, &captured(), only.as_deref(), out))
}

#[test]
fn each_line_stands_behind_who_wrote_it() {
    let expected = "00:00:00.000 stderr thread=1 task=- request=- id=- | outside\n\
                    00:00:00.000 stdout thread=1 task=1 request=1 id=a-b | one\n\
                    00:00:00.000 stdout thread=1 task=1 request=2 id=#2 | \\u{1b}[31m</script>\n\
                    00:00:00.000 stderr thread=2 task=2 request=1 id=a-b cut=open | two\n";
    assert_eq!(shown(TWO, None), expected);
    assert_eq!(shown(TWO, Some("#2")).lines().count(), 1);
    assert_eq!(shown(TWO, Some("#1")).lines().count(), 2);
    let none = text(|out| log_lines::write(&script::graph(TWO), &facts("svc::handle"), None, out));
    assert_eq!(none, "no lines: they were not captured (--logs)\n");
}

#[test]
fn an_id_cannot_pass_for_what_stands_behind_it() {
    let spaced = "1/90 poll 1; 1/80 read GET /a on 5 id=x_y|z; 1/80 out one\\n";
    let mut events = script::events(spaced);
    if let asyncscope_trace::event::What::Message(message) = &mut events[1].what {
        message.values[0].bytes = b"x | y".to_vec();
    }
    let setup = asyncscope_model::Config::from(&captured()).with_log_lines(Some(u64::MAX));
    let mut graph = asyncscope_model::Graph::new(&setup);
    events.iter().for_each(|event| graph.apply(event));
    let line = text(|out| log_lines::write(&graph, &captured(), None, out));
    assert!(line.ends_with("id=x\\x20|\\x20y | one\n"), "{line}");
}

#[test]
fn lines_are_in_the_json_and_in_a_requests_story() {
    let graph = script::graph(TWO);
    let lines = text(|out| json::write(&graph, &captured(), &Lost::default(), out));
    let logs: Vec<&str> = lines.lines().filter(|line| line.contains("\"kind\":\"log\"")).collect();
    assert_eq!(logs.len(), 4);
    assert_eq!(
        logs[0],
        r#"{"kind":"log","time_ns":10,"stream":"stderr","thread":1,"task":null,"request":null,"id":null,"trace_id":null,"text":"outside"}"#
    );
    assert!(logs[2].contains(r#""task":2,"request":1,"#) && logs[2].ends_with(r#""text":"two","cut":"open"}"#));
    let first = graph.requests().next().unwrap();
    let story = text(|out| request::write(&graph, &captured(), first, out));
    assert!(story.contains("stdout: one") && story.contains("stderr (open): two"), "{story}");
    assert!(!story.contains("script") && !story.contains("outside"), "{story}");
}
