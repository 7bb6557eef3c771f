//! What asyncscope is meant to stay below, and whether it does.

use super::rounds::{Measured, Plan, Whose};
use super::service::Service;
use super::stats::median;
use super::table::{over_floor, over_nothing};
use super::variant::Variant;

/// The most that tracing may add, in times of what empty programs at the same instructions add.
const TRACE_OVER_FLOOR: f64 = 1.15;
/// The most that a sampled target may cost, in times of one with nothing attached.
const SAMPLE_OVER_NOTHING: f64 = 1.01;

/// A table: a line for each bar, a column for each service.
pub(super) fn bars(plan: &Plan, measured: &Measured) -> String {
    let mut text = String::from("| bar |");
    plan.services.iter().for_each(|service| text += &format!(" {} |", service.title()));
    text += &format!("\n| --- |{}\n", " --- |".repeat(plan.services.len()));
    let mut line = |what: &str, most: f64, of: &dyn Fn(Service) -> Option<f64>| {
        let reported =
            plan.services.iter().map(|&service| of(service).map_or_else(String::new, |value| held(value, most)));
        text += &format!("| {what} | {} |\n", reported.collect::<Vec<_>>().join(" | "));
    };
    line("trace adds at most 1.15 × what the floor adds", TRACE_OVER_FLOOR, &|service| {
        Some(over_floor(measured, Whose::Target(service), Variant::Trace)?.median)
    });
    line("trace adds less than bpftrace", 1.0, &|service| {
        Some(added(measured, service, Variant::Trace)? / added(measured, service, Variant::Bpftrace)?)
    });
    line("sample costs at most 1.01 × nothing attached", SAMPLE_OVER_NOTHING, &|service| {
        times(measured, service, Variant::Sample)
    });
    for (ours, name) in [(Variant::Trace, "trace"), (Variant::Sample, "sample")] {
        for theirs in [Variant::Console, Variant::Otel] {
            line(&format!("{name} costs less than {}", theirs.title()), 1.0, &|service| {
                Some(times(measured, service, ours)? / times(measured, service, theirs)?)
            });
        }
    }
    text
}

fn held(value: f64, most: f64) -> String {
    if value <= most { format!("{value:.3}") } else { format!("**{value:.3}**, over by {:.3}", value - most) }
}

fn times(measured: &Measured, service: Service, variant: Variant) -> Option<f64> {
    Some(over_nothing(measured.get(&(Whose::Target(service), variant))?).median)
}

fn added(measured: &Measured, service: Service, variant: Variant) -> Option<f64> {
    let pairs = measured.get(&(Whose::Target(service), variant))?;
    Some(median(&pairs.iter().map(|pair| pair.with.cpu_us - pair.without.cpu_us).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_by_how_much() {
        assert_eq!(held(1.1, 1.15), "1.100");
        assert_eq!(held(1.4, 1.15), "**1.400**, over by 0.250");
    }
}
