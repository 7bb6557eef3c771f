//! The eBPF side: load, attach, drain, detach, count. The only module that imports aya.
//!
//! It moves bytes and interprets none. Dropping a [`Probe`] removes every hook from the target.

mod btf;
mod clock;
mod code;
mod counters;
mod error;
mod features;
pub(crate) mod kernel;
mod load;
mod maps;
mod multi;
mod off_cpu;
mod rings;
mod single;
mod syscall;
mod tracepoint;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use aya_log::EbpfLogger;
use probe_common::config::Http2Layout;

pub use counters::Losses;
pub use error::ProbeError;
pub(crate) use error::{SINCE, lacking_capabilities, missing_capabilities, privileges_are_lent};
pub use load::is_fresh_object;
pub use maps::off_cpu::OffCpuTasks;
pub use off_cpu::StillOffCpu;

use asyncscope_discovery::tokio::plan::{Placement, Program};
use asyncscope_trace::{chain, facts::RunningTask};
use features::{FeaturePurpose, explain};

/// The process to watch, and what is to be seen of it.
#[derive(Clone, Debug)]
pub struct AttachRequest {
    /// The process.
    pub pid: u32,
    /// The address of each task vtable in its memory, and the offset of a task's id from its header.
    pub vtables: Vec<(u64, u32)>,
    /// The layouts of its tasks' futures, by addresses in its memory; `None`: what tasks await is not reported.
    pub layouts: Option<chain::Program>,
    /// The part of HTTP that is to be seen, if any is.
    pub http: Option<HttpHooks>,
    /// The part of standard output and error that is to be seen, if any is.
    pub prints: Option<LogOptions>,
    /// Set if threads are to be seen that are off the CPU inside of polls.
    pub off_cpu: Option<OffCpuTasks>,
    /// The way CPU time is sampled, if it is.
    pub sampling: Option<SamplingOptions>,
    /// The place of the id of the task that a thread runs, if that is known.
    pub running: Option<RunningTask>,
}

/// The way CPU time is sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplingOptions {
    /// The number of times in a second that a sampling event fires on each CPU.
    pub frequency_hz: u32,
    /// The id of the task that a thread runs stands this many bytes below where `%fs` points.
    pub below: u32,
    /// True if the word before it says whether there is one.
    pub tagged: bool,
    /// The most pages of a stack that are taken, the one with the stack pointer not counted.
    pub stack_pages: u32,
}

/// The part of standard output and error that is to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The descriptors: bit 1 for standard output, bit 2 for standard error.
    pub descriptors: u64,
    /// True if they are seen by the kernel's tracepoint, which all processes of the machine pass.
    pub tracepoints: bool,
}

/// The part of HTTP that is to be seen.
#[derive(Clone, Debug, Default)]
pub struct HttpHooks {
    /// The headers whose values are recorded, in lower case: at most 16, of at most 32 bytes each.
    pub headers: Vec<String>,
    /// The number of descriptors that are followed, from 0 on.
    pub descriptors: u32,
    /// True if system calls are seen by the kernel's tracepoints, which all processes of the machine pass.
    pub tracepoints: bool,
    /// The layout of HTTP/2 header blocks in the target's memory, where they are seen.
    pub http2: Option<Http2Layout>,
}

/// A file of the target's with hooks in it.
#[derive(Debug)]
pub struct Image {
    /// A path by which the kernel finds it.
    pub path: PathBuf,
    /// The file, where it has to be held for the path to lead to it.
    pub held: Option<File>,
    /// The hooks.
    pub placements: Vec<Placement>,
}

/// A way to attach hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
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
pub struct ProbeOptions {
    /// The size of each CPU's ring buffer in bytes: a power of two, and at least a page. `None`: 64 MiB
    /// divided by the CPUs, from 512 KiB to 8 MiB.
    pub ring_bytes: Option<u32>,
    /// The way to attach hooks.
    pub way: AttachMode,
    /// True if the programs' own diagnostics are logged, through the `log` facade.
    pub logs: bool,
    /// True if programs that do nothing are attached instead of those that see something, at the same
    /// instructions: then nothing is reported, and what the target still pays is the kernel's share. It takes
    /// [`AttachMode::Multi`].
    pub empty: bool,
}

/// Armed hooks and their buffers. Fields are dropped in order: hooks first.
#[derive(Debug)]
pub struct Probe {
    off_cpu: Option<off_cpu::OffCpuHook>,
    links: Option<Vec<Link>>,
    rings: rings::Rings,
    counters: counters::Counters,
    logger: Option<Logger>,
    loaded: load::LoadedObject,
    way: AttachMode,
    without_http: Option<ProbeError>,
    without_prints: Option<ProbeError>,
    without_off_cpu: Option<ProbeError>,
}

/// Takes the programs' own diagnostics.
struct Logger(EbpfLogger<&'static dyn log::Log>);

impl std::fmt::Debug for Logger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logger")
    }
}

/// A holder of hooks; they go when it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
enum Link {
    Multi(multi::MultiLink),
    Single(aya::programs::uprobe::UProbeLink),
    Tracepoint(aya::programs::raw_trace_point::RawTracePointLink),
    Clock(aya::programs::perf_event::PerfEventLink),
}

/// Hooks of one program in one file.
#[derive(Debug)]
struct Group<'a> {
    pid: u32,
    path: &'a Path,
    program: Program,
    placements: &'a [&'a Placement],
    empty: bool,
}

fn arm(loaded: &mut load::LoadedObject, way: AttachMode, group: &Group<'_>) -> Result<Vec<Link>, ProbeError> {
    let armed = match way {
        AttachMode::Multi => multi::attach(loaded, group).map(|attached| vec![Link::Multi(attached)]),
        _ => single::attach(loaded, group).map(|links| links.into_iter().map(Link::Single).collect()),
    };
    armed.map_err(|error| explain(error, FeaturePurpose::of(group.program)))
}

impl Probe {
    /// Loads the programs and arms all hooks. Where the kernel refuses only what sees HTTP, or standard output
    /// and error, the rest is armed: see [`Self::without_http`] and [`Self::without_prints`].
    ///
    /// # Errors
    ///
    /// What the kernel refused, and what to do. Nothing stays armed then.
    pub fn attach(watched: &AttachRequest, images: &[Image], options: &ProbeOptions) -> Result<Self, ProbeError> {
        let mut loaded = load::LoadedObject::new(watched, options.logs)?;
        let rings = rings::Rings::create(&mut loaded, options.ring_bytes)?;
        let counters = counters::Counters::new(&mut loaded)?;
        let logger = if options.logs { Some(Logger(loaded.logger()?)) } else { None };
        let way = match options.way {
            AttachMode::Auto if multi::is_supported() => AttachMode::Multi,
            AttachMode::Auto => AttachMode::Single,
            way => way,
        };
        if options.empty && way != AttachMode::Multi {
            return Err(ProbeError::Kernel {
                what: "attach empty programs".to_owned(),
                why: "it takes hooks that are attached together, and Linux 6.10 or newer".to_owned(),
            });
        }
        // All hooks of one program before those of the next, in whatever file they are.
        let mut groups: BTreeMap<(Program, usize), Vec<&Placement>> = BTreeMap::new();
        for (index, image) in images.iter().enumerate() {
            for placement in &image.placements {
                groups.entry((placement.program, index)).or_default().push(placement);
            }
        }
        let mut links = Vec::new();
        let (mut without_http, mut without_prints) = (None, None);
        for ((program, image), placements) in &groups {
            if program.sees_http() && without_http.is_some() {
                continue;
            }
            let Some(image) = images.get(*image) else { continue };
            let group =
                Group { pid: watched.pid, path: &image.path, program: *program, placements, empty: options.empty };
            match arm(&mut loaded, way, &group) {
                Ok(armed) => links.extend(armed),
                Err(error) if program.sees_http() => without_http = Some(error),
                Err(error) if !program.is_needed() => without_prints = Some(error),
                Err(error) => return Err(error),
            }
        }
        if without_http.is_none() && watched.http.as_ref().is_some_and(|http| http.tracepoints) {
            match tracepoint::attach(&mut loaded, &tracepoint::HTTP) {
                Ok(armed) => links.extend(armed.into_iter().map(Link::Tracepoint)),
                Err(error) => without_http = Some(explain(error, FeaturePurpose::Bytes)),
            }
        }
        if watched.prints.is_some_and(|prints| prints.tracepoints) {
            match tracepoint::attach(&mut loaded, &tracepoint::PRINTS) {
                Ok(armed) => links.extend(armed.into_iter().map(Link::Tracepoint)),
                Err(error) => without_prints = Some(explain(error, FeaturePurpose::Bytes)),
            }
        }
        if let Some(sampling) = watched.sampling {
            let clocks = clock::start(&mut loaded, sampling.frequency_hz);
            let clocks = clocks.map_err(|error| explain(error, FeaturePurpose::Samples))?;
            links.extend(clocks.into_iter().map(Link::Clock));
        }
        // Last: what it says is about polls that were seen to begin.
        let (off_cpu, without_off_cpu) = match watched.off_cpu.as_ref().map(|_| off_cpu::OffCpuHook::arm(&mut loaded)) {
            Some(Ok(off_cpu)) => (Some(off_cpu), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        loaded.forget_code();
        Ok(Self {
            off_cpu,
            links: Some(links),
            rings,
            counters,
            logger,
            loaded,
            way,
            without_http,
            without_prints,
            without_off_cpu,
        })
    }

    /// The reason that HTTP is not seen, where the kernel refused that.
    #[must_use]
    pub fn without_http(&self) -> Option<&ProbeError> {
        self.without_http.as_ref()
    }

    /// The reason that standard output and error are not seen, where the kernel refused that.
    #[must_use]
    pub fn without_prints(&self) -> Option<&ProbeError> {
        self.without_prints.as_ref()
    }

    /// The reason that off-CPU threads are not seen, where they were wanted and the kernel refused that.
    #[must_use]
    pub fn without_off_cpu(&self) -> Option<&ProbeError> {
        self.without_off_cpu.as_ref()
    }

    /// The threads that are off the CPU inside of polls now.
    #[must_use]
    pub fn still_off_cpu(&self) -> Vec<StillOffCpu> {
        self.off_cpu.as_ref().map(off_cpu::OffCpuHook::still).unwrap_or_default()
    }

    /// Removes every hook. What the ring buffers hold can still be drained.
    pub fn disarm(&mut self) {
        if let Some(off_cpu) = &mut self.off_cpu {
            off_cpu.disarm();
        }
        self.links = None;
    }

    /// The way hooks were attached.
    #[must_use]
    pub fn way(&self) -> AttachMode {
        self.way
    }

    /// Takes what the ring buffers hold now, one record at a time.
    pub fn drain(&mut self, sink: &mut dyn FnMut(&[u8])) {
        self.rings.drain(sink);
        if let Some(Logger(logger)) = &mut self.logger {
            logger.flush();
        }
    }

    /// The number of records that each CPU has tried to write so far.
    ///
    /// # Errors
    ///
    /// The kernel does not let the counters be read.
    pub fn attempted(&self) -> Result<Vec<u64>, ProbeError> {
        self.counters.attempted()
    }

    /// Counts system calls that passed the kernel's tracepoints unseen so far, because programs there were left out.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn calls_left_out(&self) -> Result<u64, ProbeError> {
        tracepoint::calls_left_out(&self.loaded)
    }

    /// The losses so far.
    ///
    /// # Errors
    ///
    /// The kernel does not let the counters be read.
    pub fn losses(&self) -> Result<Losses, ProbeError> {
        self.counters.losses()
    }
}

/// The programs that this kernel takes, and those that it refuses.
#[derive(Debug)]
pub struct Tested {
    /// The way hooks are attached here.
    pub way: AttachMode,
    /// The programs that see HTTP, and standard output and error.
    pub http: Result<(), ProbeError>,
    /// The program that sees off-CPU threads.
    pub off_cpu: Result<(), ProbeError>,
    /// The program that takes samples.
    pub sampling: Result<(), ProbeError>,
}

/// Loads all programs without attaching them: whether this kernel takes them. Those of [`Tested`] may be refused
/// by themselves.
///
/// # Errors
///
/// What the kernel refused, and what to do.
pub fn self_test() -> Result<Tested, ProbeError> {
    let watched = AttachRequest {
        pid: std::process::id(),
        vtables: Vec::new(),
        layouts: None,
        http: Some(HttpHooks::default()),
        prints: None,
        off_cpu: Some(OffCpuTasks::default()),
        sampling: None,
        running: None,
    };
    let mut loaded = load::LoadedObject::new(&watched, false)?;
    let way = if multi::is_supported() { AttachMode::Multi } else { AttachMode::Single };
    let load = |loaded: &mut load::LoadedObject, program: &Program| {
        match way {
            AttachMode::Multi => multi::load(loaded, *program).map(drop),
            _ => single::load(loaded, *program),
        }
        .map_err(|error| explain(error, FeaturePurpose::of(*program)))
    };
    let (needed, others): (Vec<Program>, Vec<Program>) = Program::ALL.iter().partition(|program| program.is_needed());
    needed.iter().try_for_each(|program| load(&mut loaded, program))?;
    let all = [tracepoint::HTTP.as_slice(), &tracepoint::PRINTS].concat();
    let others = others.iter().try_for_each(|program| load(&mut loaded, program));
    let traced = |()| tracepoint::load(&mut loaded, &all).map_err(|error| explain(error, FeaturePurpose::Bytes));
    let others = others.and_then(traced);
    let off_cpu = off_cpu::load(&mut loaded).map(drop);
    let sampling = clock::load(&mut loaded).map_err(|error| explain(error, FeaturePurpose::Samples));
    let sampling = sampling.and_then(|()| btf::thread_pointer().map(drop));
    Ok(Tested { way, http: others, off_cpu, sampling })
}
