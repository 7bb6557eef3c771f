//! The flamegraph, as an SVG that browsers let people search and zoom.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use inferno::flamegraph::color::{BasicPalette, Color, Palette, PaletteMap};
use inferno::flamegraph::{Options, from_lines};

use super::awaits;
use super::lost;
use super::names::printable;
use super::of_requests;
use super::sampled;
use super::select::Diff;
use super::stacks::GraphPart;
use super::units::human;
use super::weight::Weight;
use asyncscope_model::{Graph, Request};
use asyncscope_trace::facts::{AwaitKind, Facts};

/// The note on waits for several things at once.
const SHARED: &str = "awaited together: divided equally";

/// Writes the flamegraph of all tasks, or of some requests; one that says so where there is nothing to draw.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(
    graph: &Graph,
    facts: &Facts,
    weight: Weight,
    part: &GraphPart<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let stacks = part.fold(graph, facts, weight);
    let total: u128 = stacks.iter().map(|(_, ns)| u128::from(*ns)).sum();
    if total == 0 {
        return write_empty(graph, weight, out);
    }
    let shift = overflow(total);
    let weight = if matches!(part, GraphPart::Samples(..)) { Weight::Cpu } else { weight };
    let lines: Vec<String> = stacks.iter().map(|(stack, ns)| format!("{stack} {}", ns >> shift)).collect();
    let mut options = options(graph, facts, weight, total);
    let mut colours = colours(&stacks, facts);
    options.palette_map = Some(&mut colours);
    options.factor *= (1u128 << shift) as f64;
    if weight != Weight::Busy && graph.knows_chains() && matches!(part, GraphPart::All) {
        options.title.push_str(", at what they awaited");
        options.subtitle = Some(format!("{}; {SHARED}", subtitle(graph)));
    }
    if let GraphPart::Samples(by, only) = part {
        let of = only.as_ref().map(|only| counted(only.requests.len()));
        (options.title, options.subtitle) = sampled::titles(graph, facts, *by, total, of.as_deref());
        (options.count_name, options.factor) = ("samples".to_owned(), 1.0);
        options.name_type = "Frame:".into();
    }
    if let GraphPart::Of { requests, .. } = part {
        options.title =
            format!("{}: {}, {}", printable(&facts.process.name), weight.meaning(), counted(requests.len()));
    }
    warn(&mut options, graph);
    from_lines(&mut options, lines.iter().rev().map(String::as_str), out)
}

/// Writes the flamegraph of what the slow requests do, in red where they take longer for it than the fast
/// ones, in blue where shorter: time for one request on average.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write_diff(
    graph: &Graph,
    facts: &Facts,
    weight: Weight,
    diff: &Diff<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let stacks = fold_both(graph, facts, weight, diff);
    let total: u128 = stacks.values().map(|(_, slow)| u128::from(*slow)).sum();
    if total == 0 {
        return write_empty(graph, weight, out);
    }
    let shift = overflow(total);
    let line = |(stack, (fast, slow)): (&Vec<String>, &(u64, u64))| {
        format!("{} {} {}", stack.join(";"), fast >> shift, slow >> shift)
    };
    let lines: Vec<String> = stacks.iter().map(line).collect();
    let mut options = options(graph, facts, weight, total);
    options.factor *= (1u128 << shift) as f64;
    let (fast, slow) = (diff.fast.len(), counted(diff.slow.len()));
    let name = printable(&facts.process.name);
    options.title = format!(
        "{name}: {} a request, {slow} of at least {} against {fast} faster",
        weight.meaning(),
        human(diff.least_ns)
    );
    warn(&mut options, graph);
    from_lines(&mut options, lines.iter().rev().map(String::as_str), out)
}

/// Nanoseconds for one request on average, fast and slow, by stack.
fn fold_both(graph: &Graph, facts: &Facts, weight: Weight, diff: &Diff<'_>) -> BTreeMap<Vec<String>, (u64, u64)> {
    let mut both: BTreeMap<Vec<String>, (u64, u64)> = BTreeMap::new();
    let stacks = |requests: &[&Request]| {
        let count = requests.len().max(1) as u64;
        let stacks = of_requests::fold(graph, facts, weight, requests, Some(&diff.label));
        stacks.into_iter().map(move |(stack, ns)| (stack.split(';').map(str::to_owned).collect(), ns / count))
    };
    stacks(&diff.fast).for_each(|(stack, ns)| both.entry(stack).or_default().0 = ns);
    stacks(&diff.slow).for_each(|(stack, ns)| both.entry(stack).or_default().1 = ns);
    both
}

fn counted(requests: usize) -> String {
    if requests == 1 { "1 request".to_owned() } else { format!("{requests} requests") }
}

/// Returns how many bits to drop from each weight so that their sum stays far from the end of `u64`. Not 0
/// only for times that no real program has.
fn overflow(total: u128) -> u32 {
    const BITS: u32 = 62;
    (u128::BITS - total.leading_zeros()).saturating_sub(BITS)
}

/// Awaits, what is awaited, and states have colours of their own; all other frames are tasks, or who spawned them.
fn colours(stacks: &[(String, u64)], facts: &Facts) -> PaletteMap {
    const AWAIT: (u8, u8, u8) = (120, 170, 230);
    const FUTURE: (u8, u8, u8) = (165, 195, 235);
    const LEAF: (u8, u8, u8) = (190, 150, 220);
    const STATE: (u8, u8, u8) = (190, 190, 190);
    let mut colours = PaletteMap::default();
    let awaits =
        facts.frames.iter().map(|frame| (awaits::shown(&frame.name, frame), frame.kind)).collect::<HashMap<_, _>>();
    for name in stacks.iter().flat_map(|(stack, _)| stack.split(';').skip(1)) {
        let (r, g, b) = match awaits.get(name) {
            _ if awaits::is_state(name) => STATE,
            Some(AwaitKind::Await | AwaitKind::Unstarted | AwaitKind::Done) => AWAIT,
            Some(AwaitKind::Future | AwaitKind::Unproved | AwaitKind::Unknown) => FUTURE,
            Some(AwaitKind::Leaf) => LEAF,
            None if awaits::is_leaf_name(name) => LEAF,
            None => continue,
        };
        colours.insert(name, Color { r, g, b });
    }
    colours
}

fn options<'a>(graph: &Graph, facts: &Facts, weight: Weight, total: u128) -> Options<'a> {
    let mut options = Options::default();
    let name = printable(&facts.process.name);
    options.title = format!("{name}: {}, under the tasks that spawned", weight.meaning());
    options.subtitle = Some(subtitle(graph));
    (options.count_name, options.factor) = unit(total);
    options.name_type = "Task:".into();
    options.deterministic = true;
    // Keeps the order of the lines but for reversing them. The order that inferno would give them
    // draws a frame twice where another's name begins with its name and a character before `;`.
    options.flame_chart = true;
    options.colors = Palette::Basic(palette(weight));
    options
}

fn palette(weight: Weight) -> BasicPalette {
    match weight {
        Weight::Busy => BasicPalette::Hot,
        Weight::Wall => BasicPalette::Green,
        Weight::Wait => BasicPalette::Aqua,
        Weight::Cpu => BasicPalette::Hot,
    }
}

/// Counts are drawn as whole numbers: microseconds where that is precise enough.
fn unit(total: u128) -> (String, f64) {
    if total >= 1_000_000_000 { ("µs".to_owned(), 1e-3) } else { ("ns".to_owned(), 1.0) }
}

/// Something missing is reported in the title.
fn warn(options: &mut Options<'_>, graph: &Graph) {
    if lost::warning(&graph.totals()).is_some() {
        options.title.push_str(&format!(" ({})", lost::described(&graph.totals())));
    }
}

fn subtitle(graph: &Graph) -> String {
    let totals = graph.totals();
    let span = graph.end_ns().saturating_sub(graph.config().armed_ns);
    format!("{} watched, {} polls, {}", human(span), totals.polls, lost::described(&totals))
}

fn write_empty(graph: &Graph, weight: Weight, out: &mut dyn Write) -> io::Result<()> {
    let what =
        if graph.totals().polls == 0 { "no polls seen".to_owned() } else { format!("no {} seen", weight.meaning()) };
    let subtitle = subtitle(graph);
    writeln!(
        out,
        concat!(
            r#"<?xml version="1.0" standalone="no"?>"#,
            "\n",
            r#"<svg version="1.1" width="1200" height="100" viewBox="0 0 1200 100" "#,
            r#"xmlns="http://www.w3.org/2000/svg" font-family="monospace" text-anchor="middle">"#,
            r#"<text x="600" y="45" font-size="17">{}</text>"#,
            r#"<text x="600" y="70" font-size="12">{}</text></svg>"#,
        ),
        what, subtitle
    )
}
