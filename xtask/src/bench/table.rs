//! The tables of `docs/benchmarks.md`.

use std::fmt::Write as _;

use super::rounds::{Measured, Pair, Plan, Whose};
use super::service::Service;
use super::stats::{Spread, median};
use super::variant::Variant;

/// A table for each service, and one for neighbours.
pub(super) fn tables(plan: &Plan, measured: &Measured) -> String {
    let mut text = String::new();
    for &service in &plan.services {
        text += &format!("\n### {}\n\n{}", service.heading(), of_service(plan, measured, service));
    }
    if plan.neighbour {
        text += &format!("\n### A neighbour that nobody watches\n\n{}", of_neighbours(plan, measured));
    }
    text
}

fn of_service(plan: &Plan, measured: &Measured, service: Service) -> String {
    let unit = service.unit();
    let whose = Whose::Target(service);
    let mut text = format!(
        "| variant | CPU per {unit} | × nothing attached | added | added, × the floor's | {unit}s/s | p50 | p99 | its own \
         process, per {unit} |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    let all: Vec<&Pair> =
        plan.variants.iter().filter_map(|variant| measured.get(&(whose, *variant))).flatten().collect();
    let of = |figure: &dyn Fn(&Pair) -> f64| median(&all.iter().map(|pair| figure(pair)).collect::<Vec<_>>());
    let _written = writeln!(
        text,
        "| nothing | {} | 1 | | | {:.0} | {} | {} | |",
        time(of(&|pair| pair.without.cpu_us)),
        of(&|pair| pair.without.per_second),
        time(of(&|pair| pair.without.p50_us)),
        time(of(&|pair| pair.without.p99_us)),
    );
    for variant in &plan.variants {
        let Some(pairs) = measured.get(&(whose, *variant)) else { continue };
        let of = |figure: &dyn Fn(&Pair) -> f64| median(&pairs.iter().map(figure).collect::<Vec<_>>());
        let floor = match variant {
            Variant::Floor => String::new(),
            _ => over_floor(measured, whose, *variant).map_or_else(String::new, |over| format!("{:.2}", over.median)),
        };
        let own = if variant.built_in().is_some() { String::new() } else { time(of(&|pair| pair.tool_us)) };
        let _written = writeln!(
            text,
            "| {} | {} | {} | {} | {floor} | {:.0} | {} | {} | {} |",
            variant.title(),
            time(of(&|pair| pair.with.cpu_us)),
            shown(over_nothing(pairs)),
            time(of(&|pair| pair.with.cpu_us - pair.without.cpu_us)),
            of(&|pair| pair.with.per_second),
            time(of(&|pair| pair.with.p50_us)),
            time(of(&|pair| pair.with.p99_us)),
            own,
        );
    }
    text
}

fn of_neighbours(plan: &Plan, measured: &Measured) -> String {
    let mut text = String::from(
        "| variant | same file, CPU × nothing attached | another file, CPU × nothing attached |\n| --- | --- | --- |\n",
    );
    for variant in &plan.variants {
        let of = |whose| measured.get(&(whose, *variant)).map_or_else(String::new, |pairs| shown(over_nothing(pairs)));
        let (same, other) = (of(Whose::SameFile), of(Whose::OtherFile));
        text += &format!("| {} | {same} | {other} |\n", variant.title());
    }
    text
}

/// The target's CPU time, in times of what it is with nothing attached.
pub(super) fn over_nothing(pairs: &[Pair]) -> Spread {
    Spread::of(pairs.iter().map(|pair| pair.with.cpu_us / pair.without.cpu_us))
}

/// Returns what the variant adds to the target's CPU time, in times of what the floor adds in the same round.
pub(super) fn over_floor(measured: &Measured, whose: Whose, variant: Variant) -> Option<Spread> {
    let added = |pair: &Pair| pair.with.cpu_us - pair.without.cpu_us;
    let (floor, pairs) = (measured.get(&(whose, Variant::Floor))?, measured.get(&(whose, variant))?);
    Some(Spread::of(pairs.iter().zip(floor).map(|(pair, floor)| added(pair) / added(floor))))
}

fn shown(spread: Spread) -> String {
    let Spread { median, least, most } = spread;
    format!("{median:.3} ({least:.3} to {most:.3})")
}

/// With as many digits as mean something.
pub(super) fn time(us: f64) -> String {
    match us.abs() {
        less if less < 0.0005 => "0".to_owned(),
        less if less < 10.0 => format!("{us:.2} µs"),
        less if less < 100.0 => format!("{us:.1} µs"),
        less if less < 10_000.0 => format!("{us:.0} µs"),
        _ => format!("{:.1} ms", us / 1000.0),
    }
}
