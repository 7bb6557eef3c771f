use std::io::Read as _;

use flate2::read::GzDecoder;
use prost::Message as _;

use super::super::pprof::{Profile, write};
use super::super::samples::GroupBy;
use super::super::stacks::GraphPart;
use super::super::weight::Weight;
use super::samples::SCRIPT;
use super::{AWAITS, FAMILY, awaiting, facts};
use asyncscope_model::testing::sampled;
use asyncscope_model::testing::script::{graph, graph_of};
use asyncscope_model::{Detail, Graph};
use asyncscope_trace::facts::Facts;

fn profile(graph: &Graph, facts: &Facts, weight: Weight, part: &GraphPart<'_>) -> Profile {
    let mut bytes = Vec::new();
    write(graph, facts, weight, part, &mut bytes).unwrap();
    let mut plain = Vec::new();
    GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
    Profile::decode(&plain[..]).unwrap()
}

#[test]
fn what_is_missing_is_a_comment() {
    let profile_of = |script: &str| profile(&graph(script), &facts("f"), Weight::Busy, &GraphPart::All);
    let lossy = profile_of(&format!("{FAMILY}; 5/0 gap"));
    let comments = lossy.comment.iter().map(|&place| lossy.string_table[usize::try_from(place).unwrap()].as_str());
    assert_eq!(comments.collect::<Vec<_>>(), ["3 events lost: what they put in doubt is shown as unknown"]);
    assert!(profile_of(FAMILY).comment.is_empty());
}

/// `frame;frame value,value key=value`, in the order of the profile. A frame is `name@file:line`, with `^` before the
/// line where the function begins there, and without `*` where it has no mapping.
fn reported(profile: &Profile) -> Vec<String> {
    let string = |place: i64| profile.string_table[usize::try_from(place).unwrap()].as_str();
    let frame = |id: &u64| {
        let location = profile.location.iter().find(|location| location.id == *id).unwrap();
        let function = profile.function.iter().find(|function| function.id == location.line[0].function_id).unwrap();
        let (name, file, line) = (string(function.name), string(function.filename), location.line[0].line);
        let code = if location.mapping_id == 1 { "*" } else { "" };
        match function.start_line {
            _ if file.is_empty() => format!("{code}{name}"),
            0 => format!("{code}{name}@{file}:{line}"),
            starts => format!("{code}{name}@{file}:^{starts}"),
        }
    };
    let one = |sample: &super::super::pprof::Sample| {
        let frames: Vec<String> = sample.location_id.iter().rev().map(frame).collect();
        let values: Vec<String> = sample.value.iter().map(ToString::to_string).collect();
        let label = |label: &super::super::pprof::Label| match label.text {
            0 => format!(" {}={}", string(label.key), label.number),
            text => format!(" {}={}", string(label.key), string(text)),
        };
        let labels: String = sample.label.iter().map(label).collect();
        format!("{} {}{labels}", frames.join(";"), values.join(","))
    };
    profile.sample.iter().map(one).collect()
}

#[test]
fn samples_have_functions_and_labels() {
    let facts = sampled();
    let graph = graph_of(&facts, SCRIPT, Detail::Totals);
    let profile = profile(&graph, &facts, Weight::Cpu, &GraphPart::Samples(GroupBy::Task, None));
    let lines = reported(&profile);
    let whole = "[thread main];svc::handle;*svc::handle::{{closure}};*svc::work;*svc::hash 1,10000000 \
                 task_type=svc::handle thread=[thread main] task=1";
    assert!(lines.iter().any(|line| line == whole), "{lines:#?}");
    let total: i64 = profile.sample.iter().map(|sample| sample.value[0]).sum();
    assert_eq!((total, profile.period, profile.string_table[0].as_str()), (5, 10_000_000, ""));
}

#[test]
fn traced_time_is_reported_by_task() {
    let mut facts = facts("svc::handle");
    facts.types[1].name = Some("a\x1b".into());
    let lines = reported(&profile(&graph(FAMILY), &facts, Weight::Busy, &GraphPart::All));
    let expected = [
        "[thread main];svc::handle 20 task_type=svc::handle task=1",
        "[thread main];svc::handle;a\\u{1b} 10 task_type=a\\u{1b} task=2",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn waits_have_file_and_line_of_their_own() {
    let mut facts = awaiting();
    facts.frames[1].until = Some(12);
    let lines = reported(&profile(&graph(AWAITS), &facts, Weight::Wait, &GraphPart::All));
    let task = "[thread main];svc::handle";
    let of = "task_type=svc::handle task=1";
    let expected = [
        format!(
            "{task};*svc::handle@src/a.rs:7;*svc::store@src/a.rs:^9;*tokio::sync::mutex::Mutex<T>::lock@src/a.rs:3;\
             *Mutex 10 {of}"
        ),
        format!("{task};*svc::handle@src/a.rs:7;*Sleep 10 {of}"),
        format!("{task};[await not known] 20 {of}"),
    ];
    let mut expected = expected.to_vec();
    expected.reverse();
    assert_eq!(lines, expected);
}

#[test]
fn the_executable_is_the_mapping() {
    let mut facts = awaiting();
    facts.process.executable = "/opt/svc\x1b".into();
    facts.process.build_id = Some("c0ffee".into());
    let profile = profile(&graph(AWAITS), &facts, Weight::Wait, &GraphPart::All);
    let [mapping] = &profile.mapping[..] else { panic!("{:?}", profile.mapping) };
    let string = |place: i64| profile.string_table[usize::try_from(place).unwrap()].as_str();
    assert_eq!((string(mapping.filename), string(mapping.build_id)), ("/opt/svc\\u{1b}", "c0ffee"));
    assert!(mapping.has_functions && mapping.has_filenames && mapping.has_line_numbers);
}

/// The order in which things were seen is none of the profile's.
#[test]
fn tables_and_samples_are_sorted() {
    let facts = sampled();
    let graph = graph_of(&facts, SCRIPT, Detail::Totals);
    let profile = profile(&graph, &facts, Weight::Cpu, &GraphPart::Samples(GroupBy::Task, None));
    assert!(profile.string_table.is_sorted() && profile.string_table[0].is_empty());
    let functions = profile.function.iter().map(|function| function.name).collect::<Vec<_>>();
    assert!(functions.is_sorted(), "{functions:?}");
    let stack = |sample: &super::super::pprof::Sample| sample.location_id.iter().rev().copied().collect::<Vec<_>>();
    let stacks = profile.sample.iter().map(stack).collect::<Vec<_>>();
    assert!(stacks.is_sorted() && stacks.len() == 5, "{stacks:?}");
    assert!(profile.location.iter().map(|location| location.id).eq(1..=profile.location.len() as u64));
}

#[test]
fn requests_are_routes() {
    let script = "1/90 poll 1; 1/50 read GET /a on 5 id=x; 1/70 spawn 2; 1/50 write 200 on 5; 1/80 end 1";
    let graph = graph(script);
    let part = GraphPart::Of { requests: graph.requests().collect(), label: None };
    let lines = reported(&profile(&graph, &facts("f"), Weight::Wall, &part));
    assert!(lines.iter().any(|line| line == "GET /a;f 20 route=GET /a"), "{lines:#?}");
}
