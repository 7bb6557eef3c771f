use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::{
    args::{Arguments, Command},
    optional_values,
};
use crate::session::OutputOptions;
use asyncscope_view::formats::FORMATS;

fn parsed(line: &str) -> Command {
    Arguments::try_parse_from(format!("asyncscope {line}").split_whitespace()).unwrap().command
}

#[track_caller]
fn contradiction(line: &str) -> String {
    parsed(&format!("attach 1 {line}")).contradiction().unwrap_or_default()
}

#[test]
fn outputs_take_what_they_are_made_of() {
    assert_eq!(contradiction("--json f --long-polls --logs g --weight wall --off-cpu"), "");
    assert_eq!(contradiction("--weight cpu"), "--weight cpu takes --mode sample");
    assert_eq!(contradiction("--group-by thread"), "--group-by takes --mode sample");
    assert_eq!(contradiction("--mode sample --long-polls --json f"), "--long-polls cannot be used with --mode sample");
    assert_eq!(contradiction("--mode sample --logs"), "--logs cannot be used with --mode sample");
    assert_eq!(
        contradiction("--mode sample --weight busy"),
        "--weight other than cpu cannot be used with --mode sample"
    );
    assert_eq!(contradiction("--mode sample --json f"), "--json takes --requests");
    assert_eq!(contradiction("--mode sample --route /a"), "--route takes --requests");
    assert_eq!(contradiction("--mode sample --group-by route"), "--group-by request and route takes --requests");
    assert_eq!(contradiction("--mode sample --requests --group-by route --json f"), "");
    assert_eq!(contradiction("--mode sample --requests --no-http"), "--requests takes HTTP");
}

#[test]
fn options_about_the_same_are_refused() {
    let refused = |line: &str| Arguments::try_parse_from(format!("asyncscope {line}").split_whitespace()).is_err();
    assert!(refused("attach 1 --redact --logs f"));
    assert!(refused("report f --diff --slower-than 1s"));
    assert!(refused("report f --diff --slower-than 1s --flamegraph a --folded b"));
    assert!(!refused("report f --diff --slower-than 1s --flamegraph a --json b"));
    assert!(refused("report f --long-poll-min 1s"));
}

/// The outputs to be made, by option and path.
#[track_caller]
fn outputs(line: &str) -> String {
    let wanted = match parsed(line) {
        Command::Report { outputs, .. } => outputs.into_options(false),
        Command::Attach { live, .. } => live.into_plan(Vec::new()).wanted,
        _ => panic!("no outputs"),
    };
    shown(&wanted)
}

fn shown(wanted: &OutputOptions) -> String {
    let path = |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |path| format!("={}", path.display()));
    let formats = wanted.formats.iter().map(|(format, to)| format.option.to_owned() + &path(to));
    formats.chain(spans(wanted)).collect::<Vec<_>>().join(" ")
}

#[cfg(feature = "otlp")]
fn spans(wanted: &OutputOptions) -> Option<String> {
    let to = |to: &Option<String>| to.as_ref().map_or_else(String::new, |url| format!("={url}"));
    wanted.otlp.as_ref().map(|spans| format!("otlp{}", to(&spans.to)))
}

#[cfg(not(feature = "otlp"))]
fn spans(_: &OutputOptions) -> Option<String> {
    None
}

#[test]
fn lines_without_a_file_go_where_nothing_else_has_them() {
    assert_eq!(outputs("report f --requests --pprof p"), "pprof=p requests");
    assert_eq!(outputs("report f --logs lines"), "logs=lines");
    assert_eq!(outputs("report f --logs"), "logs");
    assert_eq!(outputs("report f --logs -"), "logs=-");
    assert_eq!(outputs("report f --logs --requests"), "logs requests");
    assert_eq!(outputs("report f --logs --json j"), "json=j");
    assert_eq!(outputs("attach 1 --record r --logs"), "");
}

/// The command, as the whole command line has it; or the first line of why it is refused.
fn decided(line: &str) -> Result<Command, String> {
    let words = format!("asyncscope {line}").split_whitespace().map(Into::into).collect();
    let parsed = optional_values::parse(words);
    parsed.map(|all| all.command).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// The target, and the outputs that are made of it.
#[track_caller]
fn target(line: &str) -> String {
    match decided(line).unwrap() {
        Command::Attach { target, live, .. } => format!("{target}: {}", shown(&live.into_plan(Vec::new()).wanted)),
        Command::Run { command, live } => {
            let command = command.join(" ");
            format!("{command}: {}", shown(&live.into_plan(Vec::new()).wanted))
        }
        Command::Report { recording, outputs } => {
            format!("{}: {}", recording.display(), shown(&outputs.into_options(false)))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_option_that_may_lack_its_value_leaves_the_target_its_word() {
    assert_eq!(target("attach --logs 4242"), "4242: logs");
    assert_eq!(target("attach --logs 4242 --json j"), "4242: json=j");
    assert_eq!(target("attach --logs lines 4242"), "4242: logs=lines");
    assert_eq!(target("attach --logs=lines 4242"), "4242: logs=lines");
    assert_eq!(target("report --logs f.ascope"), "f.ascope: logs");
    assert_eq!(target("run --logs ./server"), "./server: logs");
    assert_eq!(target("run --logs -- ./server --logs f"), "./server --logs f: logs");
    assert_eq!(target("run ./server --logs f"), "./server --logs f: ");
    assert!(decided("attach --logs").unwrap_err().contains("required"));
}

#[cfg(feature = "otlp")]
#[test]
fn one_that_is_not_the_only_one_with_a_word_is_not_guessed() {
    assert_eq!(target("attach --otlp 4242"), "4242: otlp");
    assert_eq!(target("attach --otlp 4242 --logs"), "4242: logs otlp");
    assert_eq!(target("attach --otlp http://localhost:4317 4242"), "4242: otlp=http://localhost:4317");
    assert!(decided("attach --otlp 4242 --logs f").unwrap_err().contains("required"));
}

/// The sources below this folder of the package, but for tests.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| {
        !path.components().any(|part| Path::new(part.as_os_str()).with_extension("") == Path::new("tests"))
    });
    files
}

/// The files below these folders that have one of the words, comments left out.
fn places(folders: &[&str], words: &[String]) -> Vec<String> {
    let mut places = Vec::new();
    for path in folders.iter().flat_map(|folder| sources(folder)) {
        let text = fs::read_to_string(&path).unwrap();
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.any(|line| words.iter().any(|word| line.contains(word.as_str()))) {
            places.push(path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string());
        }
    }
    places.sort();
    places
}

#[test]
fn an_output_is_a_file_and_a_row() {
    const VIEW: &str = "crates/view/src";
    for format in &FORMATS {
        // Options that are about one output name it: how long a long poll takes.
        let about: &[&str] = if format.option == "long-polls" { &["src/cli/outputs.rs"] } else { &[] };
        let named = [format!("\"{}\"", format.option), format!("\"--{}\"", format.option)];
        assert_eq!(places(&["src/cli", "src/session"], &named), about, "--{}", format.option);
        assert_eq!(places(&[VIEW], &[format!("option: \"{}\"", format.option)]), [format!("{VIEW}/formats.rs")]);
    }
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(VIEW).join("formats.rs")).unwrap();
    let modules =
        table.split("::write").filter_map(|before| before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next());
    for module in modules.filter(|module| !module.is_empty()) {
        let mut entered = places(&[VIEW], &[format!("mod {module};"), format!("{module}::write(")]);
        // Dumps and spans have modules of their own, which are none of the table's.
        entered.retain(|place| !place.trim_start_matches(&format!("{VIEW}/")).contains('/'));
        assert_eq!(entered, [format!("{VIEW}/formats.rs"), format!("{VIEW}/lib.rs")], "{module}");
    }
}
