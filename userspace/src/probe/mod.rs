//! The eBPF side: load, attach, drain, detach, count. The only module that imports aya.
//!
//! It moves bytes and interprets none. Dropping a [`Probe`] removes every hook from the target.

mod counters;
mod error;
mod load;
mod multi;
mod rings;
mod single;
mod syscall;

use std::{collections::BTreeMap, path::PathBuf};

use aya_log::EbpfLogger;

pub use counters::Losses;
pub use error::ProbeError;
pub(crate) use error::missing_capabilities;
pub use load::is_fresh_object;

use crate::target::plan::{Placement, Program};

/// Whom to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The process.
    pub pid: u32,
    /// A path by which the kernel finds its executable.
    pub executable: PathBuf,
    /// The address of each task vtable in its memory, and the offset of a task's id from its header.
    pub vtables: Vec<(u64, u32)>,
}

/// How hooks are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// By one link for each program where the kernel can.
    #[default]
    Auto,
    /// By one link for each program: `uprobe_multi`.
    Multi,
    /// By one perf event for each hook.
    Single,
}

/// Settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The size of each CPU's ring buffer in bytes: a power of two, and at least a page. `None`: 64 MiB
    /// divided by the CPUs, from 512 KiB to 8 MiB.
    pub ring_bytes: Option<u32>,
    /// How hooks are attached.
    pub way: Way,
    /// Whether the programs' own diagnostics are logged, through the `log` facade.
    pub logs: bool,
}

/// Armed hooks and their buffers. Fields are dropped in order: hooks first.
#[derive(Debug)]
pub struct Probe {
    links: Option<Links>,
    rings: rings::Rings,
    counters: counters::Counters,
    logger: Option<Logger>,
    _loaded: load::Loaded,
    way: Way,
}

/// Takes the programs' own diagnostics.
struct Logger(EbpfLogger<&'static dyn log::Log>);

impl std::fmt::Debug for Logger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logger")
    }
}

/// What holds the hooks; they go when it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
enum Links {
    Multi(Vec<multi::Attached>),
    Single(Vec<aya::programs::uprobe::UProbeLink>),
}

impl Probe {
    /// Loads the programs and arms all hooks.
    ///
    /// # Errors
    ///
    /// What the kernel refused, and what to do. Nothing stays armed then.
    pub fn attach(watched: &Watched, placements: &[Placement], options: &Options) -> Result<Self, ProbeError> {
        let mut loaded = load::Loaded::new(watched, options.logs)?;
        let rings = rings::Rings::create(&mut loaded, options.ring_bytes)?;
        let counters = counters::Counters::new(&mut loaded)?;
        let logger = if options.logs { Some(Logger(loaded.logger()?)) } else { None };
        let way = match options.way {
            Way::Auto if multi::is_supported() => Way::Multi,
            Way::Auto => Way::Single,
            way => way,
        };
        let mut by_program: BTreeMap<Program, Vec<&Placement>> = BTreeMap::new();
        placements.iter().for_each(|placement| by_program.entry(placement.program).or_default().push(placement));
        let links = if way == Way::Multi {
            let attach = |(program, placements): (&Program, &Vec<&Placement>)| {
                multi::attach(&loaded, watched, *program, placements)
            };
            Links::Multi(by_program.iter().map(attach).collect::<Result<_, _>>()?)
        } else {
            let attach = |(program, placements): (&Program, &Vec<&Placement>)| {
                single::attach(&mut loaded, watched, *program, placements)
            };
            Links::Single(by_program.iter().map(attach).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        Ok(Self { links: Some(links), rings, counters, logger, _loaded: loaded, way })
    }

    /// Removes every hook. What the ring buffers hold can still be drained.
    pub fn disarm(&mut self) {
        self.links = None;
    }

    /// How hooks were attached.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Takes what the ring buffers hold now, one record at a time.
    pub fn drain(&mut self, sink: &mut dyn FnMut(&[u8])) {
        self.rings.drain(sink);
        if let Some(Logger(logger)) = &mut self.logger {
            logger.flush();
        }
    }

    /// How many records each CPU has tried to write so far.
    ///
    /// # Errors
    ///
    /// The kernel does not let the counters be read.
    pub fn attempted(&self) -> Result<Vec<u64>, ProbeError> {
        self.counters.attempted()
    }

    /// What was lost so far.
    ///
    /// # Errors
    ///
    /// The kernel does not let the counters be read.
    pub fn losses(&self) -> Result<Losses, ProbeError> {
        self.counters.losses()
    }
}

/// Loads all programs without attaching them: whether this kernel takes them.
///
/// # Errors
///
/// What the kernel refused, and what to do.
pub fn self_test() -> Result<Way, ProbeError> {
    let watched = Watched { pid: std::process::id(), executable: PathBuf::from("/proc/self/exe"), vtables: Vec::new() };
    let mut loaded = load::Loaded::new(&watched, false)?;
    if multi::is_supported() {
        Program::ALL.iter().try_for_each(|program| multi::load(&loaded, *program).map(drop))?;
        return Ok(Way::Multi);
    }
    Program::ALL.iter().try_for_each(|program| single::load(&mut loaded, *program))?;
    Ok(Way::Single)
}
