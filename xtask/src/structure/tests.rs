use super::arrows::Arrows;
use super::figures::{Figure, measure};
use super::packages::Package;
use super::sources::Sources;
use super::trees::Tree;

/// The arrows of a `userspace/src` with these files, each as `from to`, without folder and ending.
fn arrows(files: &[(&str, &str)]) -> Vec<String> {
    let paths: Vec<String> = files.iter().map(|(path, _)| format!("userspace/src/{path}.rs")).collect();
    let files = paths.iter().zip(files).map(|(path, (_, text))| (path.as_str(), *text));
    let sources = Sources::literal(&files.collect::<Vec<_>>());
    let tree = Tree::of(&Package::all(&sources)[0], &sources).unwrap().remove(0);
    let short = |place: usize| tree.files[place].path["userspace/src/".len()..].trim_end_matches(".rs").to_owned();
    let arrows = Arrows::of(&tree).between_files();
    let mut arrows: Vec<_> = arrows.into_iter().map(|(from, to)| format!("{} {}", short(from), short(to))).collect();
    arrows.sort();
    arrows
}

/// What `a.rs` points to with this text, beside modules `b`, `c/mod.rs` and `c/d.rs`.
fn check(text: &str, expected: &[&str]) {
    let files = [
        ("lib", "mod a; mod b; mod c; pub use b::Shown; struct InLib;"),
        ("a", text),
        ("b", "pub struct Shown; mod within { pub struct Deep; }"),
        ("c/mod", "mod d; pub(crate) use d::Passed; pub struct InC;"),
        ("c/d", "pub struct Passed;"),
    ];
    assert_eq!(arrows(&files), expected, "{text}");
}

#[test]
fn use_lines_point_to_files() {
    check("", &[]);
    check("use std::fmt; use b::Shown;", &[]);
    check("use crate::b::Shown;", &["a b"]);
    check("use super::b;", &["a b"]);
    check("use crate::{b::{self, Shown as S}, c::d};", &["a b", "a c/d"]);
    check("use crate::c::*;", &["a c/mod"]);
    check("use crate::b::within::Deep;", &["a b"]);
    check("fn f() { use crate::b::Shown; }", &["a b"]);
    check("mod within { use super::super::b::Shown; }", &["a b"]);
    check("use self::within::X; mod within { pub struct X; }", &[]);
}

#[test]
fn names_are_followed_to_where_they_are_defined() {
    check("use crate::c::InC;", &["a c/mod"]);
    check("use crate::c::Passed;", &["a c/d"]);
    check("use crate::Shown;", &["a b"]);
    check("use crate::a::X; use crate::a::X as X2;", &[]);
}

#[test]
fn what_is_no_arrow() {
    check("pub use crate::b::Shown; pub(super) use crate::c::InC;", &[]);
    check("fn f() { crate::b::f(); }", &[]);
    check("#[cfg(test)] mod tests { use crate::b::Shown; }", &[]);
    check("#[cfg(test)] use crate::b::Shown;", &[]);
    check("use crate::InLib; use super::InLib as Again;", &[]);
}

#[test]
fn only_of_its_parent_may_a_child_use() {
    let lib = ("lib", "mod a; pub struct InLib;");
    let parent = ("a/mod", "mod b; use self::b::B; pub struct A;");
    assert_eq!(arrows(&[lib, parent, ("a/b", "use super::A; pub struct B;")]), ["a/mod a/b"]);
    assert_eq!(arrows(&[lib, parent, ("a/b", "use crate::InLib; pub struct B;")]), ["a/b lib", "a/mod a/b"]);
}

#[test]
fn files_of_tests_are_left_out() {
    let files = [("lib", "mod a; #[cfg(test)] mod tests; mod b;"), ("a", "use crate::b::B;"), ("b", "pub struct B;")];
    assert_eq!(arrows(&[&files[..], &[("tests", "use crate::a;")]].concat()), ["a b"]);
}

fn figure(files: &[(&str, &str)], name: &str) -> Figure {
    let figures = measure(&Sources::literal(files)).unwrap();
    figures.into_iter().find(|figure| figure.name == name).unwrap()
}

#[test]
fn circles_are_counted_by_file() {
    let files = [
        ("userspace/src/lib.rs", "mod a; mod b; mod c;"),
        ("userspace/src/a.rs", "use crate::b;"),
        ("userspace/src/b.rs", "use crate::a;"),
        ("userspace/src/c.rs", "use crate::a;"),
    ];
    let figure = figure(&files, "userspace: files in circles");
    assert_eq!((figure.value, figure.found), (2, vec!["2: userspace/src/a.rs userspace/src/b.rs".to_owned()]));
}

#[test]
fn names_are_counted_over_all_parts() {
    let files = [
        ("userspace/src/lib.rs", "struct A; mod x { enum B {} } impl Iterator for A { type Item = u8; }"),
        (
            "userspace/crates/model/src/lib.rs",
            "trait B {} type A = u8; fn f() { struct A; } #[cfg(test)] mod t { struct C; }",
        ),
        ("userspace/crates/view/src/lib.rs", "struct Item; struct C;"),
    ];
    let found = figure(&files, "userspace: type names defined twice").found;
    let start = |found: &String| found.split(':').next().unwrap().to_owned();
    assert_eq!(found.iter().map(start).collect::<Vec<_>>(), ["A (3)", "B (2)"]);
}

#[test]
fn layers_that_look_up_are_found() {
    let layer = |probe: &'static str| {
        let files =
            [("userspace/src/lib.rs", "mod probe; mod session;"), ("userspace/src/session.rs", "use crate::probe;")];
        let all = [&files[..], &[("userspace/src/probe.rs", probe)]].concat();
        figure(&all, "userspace: files that use a layer above").found
    };
    assert_eq!(layer(""), Vec::<String>::new());
    assert_eq!(layer("use crate::session::X;"), ["userspace/src/probe.rs: probe uses session"]);
    assert_eq!(layer("fn f() { crate::session::x() }"), ["userspace/src/probe.rs: probe uses session"]);
}

#[test]
fn packages_that_look_up_are_found() {
    let layer = |model| {
        let files = [("userspace/crates/model/src/lib.rs", model), ("userspace/crates/trace/src/lib.rs", "")];
        figure(&files, "userspace: files that use a layer above").found
    };
    assert_eq!(layer("use asyncscope_trace::event;"), Vec::<String>::new());
    let up = "userspace/crates/model/src/lib.rs: model uses view";
    assert_eq!(layer("use asyncscope_view::json;"), [up]);
    assert_eq!(layer("fn f() { asyncscope_view::json() }"), [up]);
}

#[test]
fn a_module_without_a_file_is_an_error() {
    let broken = |lib| measure(&Sources::literal(&[("userspace/src/lib.rs", lib)])).unwrap_err();
    assert!(format!("{:#}", broken("mod gone;")).contains("gone.rs"));
    assert!(format!("{:#}", broken("mod")).contains("does not parse"));
}
