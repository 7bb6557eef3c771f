//! `bench`: what asyncscope costs the program that it watches, beside what else one could use.

mod bars;
mod build;
mod clock;
mod cpus;
pub(crate) mod keep_up;
mod load;
mod machine;
mod plot;
mod readme;
mod rounds;
mod service;
mod stats;
mod table;
mod tool;
mod variant;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::document;
use crate::process::{is_root, on_path, root};
use build::Build;
use load::Sink;
use rounds::Plan;
use service::{Around, Service};
use variant::Variant;

/// Options of `bench`. With none that leaves something out, the figures go into the documents.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The number of turns of each variant
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// The length of each stretch, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    stretch_ms: u64,
    /// Only this service, or these
    #[arg(long)]
    service: Vec<Service>,
    /// Only this variant, or these
    #[arg(long)]
    variant: Vec<Variant>,
    /// Leave the neighbours out
    #[arg(long)]
    no_neighbours: bool,
}

/// Measures, prints, and writes.
///
/// # Errors
/// Where this is not root, or a part fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(is_root(), "it attaches to processes: run it as root");
    for program in ["bpftrace", "perf", "taskset"] {
        ensure!(on_path(program).is_some(), "{program} is missing: `apt-get install bpftrace linux-perf util-linux`");
    }
    let plan = options.plan();
    let builds: BTreeSet<Build> = plan.variants.iter().map(|variant| variant.build()).chain([Build::Plain]).collect();
    build::build(&builds.into_iter().collect::<Vec<_>>())?;
    let scratch = build::folder().join("scratch");
    fs::create_dir_all(&scratch)?;
    let start = Instant::now();
    let mut sink = Sink::start()?;
    let around = Around { scratch, spans_to: sink.url.clone(), stretch: Duration::from_millis(options.stretch_ms) };
    let measured = plan.measure(&around)?;
    // Only this service surely fills a batch.
    if plan.variants.contains(&Variant::Otel) && plan.services.contains(&Service::Hello) {
        ensure!(sink.bytes()? > 0, "no span came from the service that has OpenTelemetry built in");
    }
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let machine = machine::described(plan.rounds, around.stretch, minutes)?;
    let bars = bars::bars(&plan, &measured);
    let text = format!("{machine}\n### The bars\n\n{bars}{}", table::tables(&plan, &measured));
    println!("{text}");
    if options.leaves_nothing_out() {
        document::put(&root().join("docs/benchmarks.md"), "bench", &text)?;
        document::put(&root().join("README.md"), "bench", &readme::quoted(&measured))?;
        fs::write(root().join("docs/images/benchmarks.svg"), plot::plot(&plan, &measured))?;
    }
    Ok(())
}

impl Options {
    fn leaves_nothing_out(&self) -> bool {
        self.service.is_empty() && self.variant.is_empty() && !self.no_neighbours
    }

    fn plan(&self) -> Plan {
        let or_all = |some: &[Service]| if some.is_empty() { Service::ALL.to_vec() } else { some.to_vec() };
        let variants = if self.variant.is_empty() { Variant::ALL.to_vec() } else { self.variant.clone() };
        Plan { services: or_all(&self.service), variants, rounds: self.rounds.into(), neighbour: !self.no_neighbours }
    }
}
