//! The figures, and what each counts.

use anyhow::Result;

use super::arrows::Arrows;
use super::names::Definitions;
use super::packages::{Group, Package};
use super::sources::Sources;
use super::summaries::Summaries;
use super::trees::Tree;
use super::{circles, files, layers};

/// One figure.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: usize,
    /// Everything it counts, for people.
    pub(super) found: Vec<String>,
}

impl Figure {
    fn counted(name: &str, found: Vec<String>) -> Self {
        Self { name: name.to_owned(), value: found.len(), found }
    }
}

/// A package and its module trees.
struct Parsed {
    package: Package,
    trees: Vec<Tree>,
}

/// Measures all figures.
///
/// # Errors
/// Where a file does not parse, or a module has no file.
pub(super) fn measure(sources: &Sources) -> Result<Vec<Figure>> {
    let mut parsed = Vec::new();
    for package in Package::all(sources) {
        let trees = Tree::of(&package, sources)?;
        parsed.push(Parsed { package, trees });
    }
    let of_group = |group: Group| parsed.iter().filter(move |parsed| parsed.package.group == group);
    Ok(vec![
        in_circles("userspace: files in circles", of_group(Group::Userspace)),
        in_circles("probes: files in circles", of_group(Group::Probes)),
        in_circles("tools: files in circles", of_group(Group::Tools)),
        looking_up("userspace: files that use a layer above", of_group(Group::Userspace)),
        Figure::counted("files that are too long", files::too_long(sources)),
        Figure::counted("modules beside their folder", files::beside_their_folder(sources)),
        repeated("userspace: type names defined twice", of_group(Group::Userspace)),
        poor_summaries(
            "userspace and probes: poor summaries in a thousand",
            sources,
            |group| group != Group::Tools,
            &parsed,
        ),
        poor_summaries("tools: poor summaries in a thousand", sources, |group| group == Group::Tools, &parsed),
    ])
}

fn in_circles<'a>(name: &str, parsed: impl Iterator<Item = &'a Parsed>) -> Figure {
    let circles: Vec<Vec<&str>> = parsed.flat_map(|parsed| &parsed.trees).flat_map(circles_of).collect();
    let value = circles.iter().map(Vec::len).sum();
    let found = circles.iter().map(|circle| format!("{}: {}", circle.len(), circle.join(" ")));
    Figure { name: name.to_owned(), value, found: found.collect() }
}

fn circles_of(tree: &Tree) -> Vec<Vec<&str>> {
    let circles = circles::find(tree.files.len(), &Arrows::of(tree).between_files());
    let paths = |circle: Vec<usize>| circle.into_iter().map(|place| tree.files[place].path.as_str()).collect();
    circles.into_iter().map(paths).collect()
}

fn looking_up<'a>(name: &str, parsed: impl Iterator<Item = &'a Parsed>) -> Figure {
    let of_package = |parsed: &'a Parsed| {
        let up = |tree| layers::looking_up(&parsed.package, tree, &Arrows::of(tree));
        parsed.trees.iter().flat_map(up).collect::<Vec<_>>()
    };
    Figure::counted(name, parsed.flat_map(of_package).collect())
}

fn repeated<'a>(name: &str, parsed: impl Iterator<Item = &'a Parsed>) -> Figure {
    let mut definitions = Definitions::default();
    parsed.flat_map(|parsed| &parsed.trees).flat_map(|tree| &tree.files).for_each(|file| definitions.add(file));
    Figure::counted(name, definitions.repeated())
}

fn poor_summaries(name: &str, sources: &Sources, wanted: impl Fn(Group) -> bool, parsed: &[Parsed]) -> Figure {
    let mut summaries = Summaries::default();
    let trees = parsed.iter().filter(|parsed| wanted(parsed.package.group)).flat_map(|parsed| &parsed.trees);
    for file in trees.flat_map(|tree| &tree.files) {
        summaries.add(&file.path, sources.text(&file.path).unwrap_or_default());
    }
    Figure { name: name.to_owned(), value: summaries.per_thousand(), found: summaries.list() }
}
