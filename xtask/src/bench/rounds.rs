//! The measuring: rounds, in each of which every variant has its turn.
//!
//! A tool that attaches is held against the same process without it, just before and just after. What is built in is
//! held against the plain build of the same round.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::build::{Build, other_files};
use super::service::{Around, Loaded, Service, Stretch};
use super::stats::median;
use super::tool::Tool;
use super::variant::Variant;

/// Load before the first stretch that counts, and after each attach.
const WARM_UP: Duration = Duration::from_millis(300);

/// All that is measured.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) services: Vec<Service>,
    pub(super) variants: Vec<Variant>,
    pub(super) rounds: usize,
    /// `true` if a neighbour is measured, too.
    pub(super) neighbour: bool,
}

/// A variant's stretch, and one without it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) with: Stretch,
    pub(super) without: Stretch,
    /// The tool's own CPU time for each unit of work, in microseconds; 0 for what is built in.
    pub(super) tool_us: f64,
}

/// The owner of CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// The watched service's.
    Target(Service),
    /// That of a process that nobody watches, of the same file as the one that is watched.
    SameFile,
    /// That of a process that nobody watches, of another file.
    OtherFile,
}

/// Each variant's pairs, one a round.
pub(super) type Measured = BTreeMap<(Whose, Variant), Vec<Pair>>;

impl Plan {
    /// Measures it all.
    pub(super) fn measure(&self, around: &Around) -> Result<Measured> {
        let mut measured = Measured::new();
        for round in 0..self.rounds {
            for &service in &self.services {
                eprintln!("round {} of {}: {}", round + 1, self.rounds, service.title());
                self.service(service, round, around, &mut measured)?;
            }
            if self.neighbour {
                eprintln!("round {} of {}: neighbours", round + 1, self.rounds);
                self.neighbours(round, around, &mut measured)?;
            }
        }
        Ok(measured)
    }

    /// Those that are attached; in each round another one comes first.
    fn turns(&self, round: usize) -> Vec<Variant> {
        let mut turns: Vec<Variant> = self.variants.iter().copied().filter(|one| one.built_in().is_none()).collect();
        if !turns.is_empty() {
            let first = round % turns.len();
            turns.rotate_left(first);
        }
        turns
    }

    fn service(&self, service: Service, round: usize, around: &Around, measured: &mut Measured) -> Result<()> {
        let time = around.stretch;
        let mut target = started(service, &Build::Plain.folder(), around)?;
        let mut before = target.stretch(time)?;
        let mut all_without = vec![before];
        for variant in self.turns(round) {
            let tool = Tool::attach(variant, target.pid(), &around.scratch)?;
            target.stretch(WARM_UP)?;
            let own = tool.cpu_time()?;
            let with = target.stretch(time)?;
            let own = tool.cpu_time()?.saturating_sub(own);
            tool.detach()?;
            let after = target.stretch(time)?;
            let tool_us = own.as_secs_f64() * 1e6 / with.units;
            let pair = Pair { with, without: before.and(after), tool_us };
            measured.entry((Whose::Target(service), variant)).or_default().push(pair);
            before = after;
            all_without.push(after);
        }
        drop(target);
        let without = Stretch::middle(&all_without);
        for (variant, build) in self.built_in() {
            let with = started(service, &build.folder(), around)?.stretch(time)?;
            let pair = Pair { with, without, tool_us: 0.0 };
            measured.entry((Whose::Target(service), variant)).or_default().push(pair);
        }
        Ok(())
    }

    fn built_in(&self) -> impl Iterator<Item = (Variant, Build)> {
        self.variants.iter().filter_map(|variant| Some((*variant, variant.built_in()?)))
    }

    /// The watched process rests meanwhile, so that what the neighbours pay is not for its work.
    fn neighbours(&self, round: usize, around: &Around, measured: &mut Measured) -> Result<()> {
        const WHOSE: [Whose; 2] = [Whose::SameFile, Whose::OtherFile];
        let time = around.stretch;
        let watched = started(Service::Hello, &Build::Plain.folder(), around)?;
        let mut same = started(Service::Hello, &Build::Plain.folder(), around)?;
        let mut other = started(Service::Hello, &other_files(), around)?;
        let mut stretches = || Ok::<_, anyhow::Error>([same.stretch(time)?, other.stretch(time)?]);
        let mut add = |variant, with: [Stretch; 2], without: [Stretch; 2]| {
            for ((whose, with), without) in WHOSE.into_iter().zip(with).zip(without) {
                measured.entry((whose, variant)).or_default().push(Pair { with, without, tool_us: 0.0 });
            }
        };
        let mut before = stretches()?;
        for variant in self.turns(round) {
            let tool = Tool::attach(variant, watched.pid(), &around.scratch)?;
            let with = stretches()?;
            tool.detach()?;
            let after = stretches()?;
            add(variant, with, [before[0].and(after[0]), before[1].and(after[1])]);
            before = after;
        }
        drop(watched);
        for (variant, build) in self.built_in() {
            let instrumented = started(Service::Hello, &build.folder(), around)?;
            let with = stretches()?;
            drop(instrumented);
            let after = stretches()?;
            add(variant, with, [before[0].and(after[0]), before[1].and(after[1])]);
            before = after;
        }
        Ok(())
    }
}

fn started(service: Service, folder: &Path, around: &Around) -> Result<Loaded> {
    let mut started = Loaded::start(service, folder, around)?;
    started.stretch(WARM_UP)?;
    Ok(started)
}

impl Stretch {
    /// Half of both.
    fn and(self, other: Self) -> Self {
        Self::middle(&[self, other])
    }

    /// The median of each figure.
    fn middle(all: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
        Self {
            cpu_us: of(|stretch| stretch.cpu_us),
            per_second: of(|stretch| stretch.per_second),
            p50_us: of(|stretch| stretch.p50_us),
            p99_us: of(|stretch| stretch.p99_us),
            units: of(|stretch| stretch.units),
        }
    }
}
