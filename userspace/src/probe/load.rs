//! The eBPF object: its maps, and its programs' instructions.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::fs::MetadataExt as _,
    },
};

use aya::{Ebpf, EbpfLoader, maps::Map};

use aya_log::EbpfLogger;
use probe_common::{
    config,
    http::Names,
    vtables::{self, Pair},
};

use super::{
    AttachRequest, HttpHooks, ProbeError, SamplingOptions, btf,
    code::{ProgramCode, Relocated},
    error::{absent, privileges_are_lent},
    features::{FeaturePurpose, explain},
    maps::{self, chains::Tables},
    syscall,
};
use asyncscope_trace::facts::RunningTask;

/// Built by `cargo xtask build-ebpf` from `probe-ebpf`, and committed.
static OBJECT: &[u8] = aya::include_bytes_aligned!("asyncscope.bpf.o");
/// Another object to load instead, for CI on a machine whose compiler is not the pinned one.
const OBJECT_VARIABLE: &str = "ASYNCSCOPE_BPF_OBJECT";

/// The loaded object: maps exist, programs are not attached.
#[derive(Debug)]
pub(super) struct LoadedObject {
    pub(super) ebpf: Ebpf,
    object: Cow<'static, [u8]>,
    /// Descriptors of the maps that were taken out of `ebpf`; their takers outlive the loading.
    taken: Vec<(&'static str, i32)>,
    /// The programs' instructions, from the first time they are asked for until they are let go.
    relocated: Option<Relocated>,
}

/// True if another object than the one built in is loaded.
#[must_use]
pub fn is_fresh_object() -> bool {
    other_object().is_some()
}

/// Not where the privileges are not the caller's own: a program reads all of the kernel's memory.
fn other_object() -> Option<OsString> {
    env::var_os(OBJECT_VARIABLE).filter(|_| !privileges_are_lent())
}

impl LoadedObject {
    pub(super) fn new(watched: &AttachRequest, logs: bool) -> Result<Self, ProbeError> {
        let object = match other_object() {
            Some(path) => Cow::Owned(
                fs::read(&path).map_err(|error| ProbeError::kernel(&format!("read {}", path.display()), &error))?,
            ),
            None => Cow::Borrowed(OBJECT),
        };
        let level = if logs { ALL_LEVELS } else { 0 };
        let descriptors = watched.http.as_ref().map_or(1, |http| http.descriptors.max(1));
        let pieces = if watched.http.is_some() { PIECES } else { 1 };
        let tables = watched.layouts.as_ref().map(Tables::of).unwrap_or_default();
        let mut loader = EbpfLoader::new();
        loader
            .override_global(aya_log::LEVEL, &level, true)
            .map_max_entries("CONNECTIONS", descriptors)
            .map_max_entries("PIECES", pieces)
            .map_max_entries("SAMPLE_DRAFTS", drafts(watched)?);
        for (map, size) in tables.sizes().into_iter().chain(maps::off_cpu::sizes(watched.off_cpu.as_ref())) {
            loader.map_max_entries(map, size);
        }
        // Where the kernel takes no programs, aya takes it for an old one, and fails over what that means.
        let refused = |error| {
            let refusal = syscall::refusal().unwrap_or_else(|| ProbeError::aya("create the eBPF maps", &error));
            explain(refusal, FeaturePurpose::Tasks)
        };
        let ebpf = loader.load(&object).map_err(refused)?;
        let mut loaded = Self { ebpf, object, taken: Vec::new(), relocated: None };
        loaded.set_vtables(&watched.vtables)?;
        tables.fill(&mut loaded.ebpf)?;
        if let Some(tasks) = &watched.off_cpu {
            maps::off_cpu::note(&mut loaded.ebpf, tasks)?;
        }
        if let Some(http) = &watched.http {
            loaded.set_http(http)?;
        }
        if let Some(prints) = &watched.prints {
            loaded.set("PRINTED", prints.descriptors)?;
        }
        match (watched.sampling, &watched.running) {
            (Some(sampling), _) => loaded.set_sampling(sampling)?,
            (None, Some(running)) => loaded.set_running(running)?,
            (None, None) => {}
        }
        let has_host_hooks = watched.off_cpu.is_some() || watched.sampling.is_some();
        if watched.http.is_some() || watched.prints.is_some() || has_host_hooks {
            loaded.set("WATCHED", WatchedProcessValue(watched_process(watched.pid)?))?;
        }
        Ok(loaded)
    }

    fn set_vtables(&mut self, vtables: &[(u64, u32)]) -> Result<(), ProbeError> {
        const WHAT: &str = "fill the maps of task vtables";
        let mut pairs: BTreeMap<u32, Pair> = BTreeMap::new();
        let has_room = |&&(vtable, id_offset): &&(u64, u32)| {
            vtables::put(pairs.entry(vtables::place(vtable)).or_default(), vtable, id_offset)
        };
        let (_, more): (Vec<_>, Vec<_>) = vtables.iter().partition(has_room);
        maps::fill(&mut self.ebpf, "VTABLES", WHAT, pairs)?;
        maps::insert(&mut self.ebpf, "MORE_VTABLES", WHAT, more)
    }

    fn set_http(&mut self, http: &HttpHooks) -> Result<(), ProbeError> {
        let names = Names::new(http.headers.iter().map(String::as_str));
        self.set("NAMES", NameTables(names))?;
        if let Some(layout) = http.http2 {
            maps::http2::set(&mut self.ebpf, layout, &http.headers)?;
        }
        Ok(())
    }

    fn set_sampling(&mut self, sampling: SamplingOptions) -> Result<(), ProbeError> {
        let settings = config::Sampling {
            thread_pointer: btf::thread_pointer()?,
            below: sampling.below.into(),
            tagged: sampling.tagged.into(),
            stack_pages: sampling.stack_pages.into(),
            traced: 0,
        };
        self.set("SAMPLING", SamplingSettings(settings))
    }

    /// Has the running task's id looked at, if the kernel says where its own structures have their fields.
    fn set_running(&mut self, running: &RunningTask) -> Result<(), ProbeError> {
        let Ok(thread_pointer) = btf::thread_pointer() else { return Ok(()) };
        let (below, tagged) = (running.below.into(), running.tagged.into());
        let settings = config::Sampling { thread_pointer, below, tagged, stack_pages: 0, traced: 1 };
        self.set("SAMPLING", SamplingSettings(settings))
    }

    fn set<T: aya::Pod>(&mut self, name: &'static str, value: T) -> Result<(), ProbeError> {
        maps::set(&mut self.ebpf, name, value)
    }

    pub(super) fn take_map(&mut self, name: &'static str) -> Result<Map, ProbeError> {
        let map = self.ebpf.take_map(name).ok_or_else(|| absent(name))?;
        self.taken.extend(descriptor(&map).map(|fd| (name, fd)));
        Ok(map)
    }

    /// The reader of the programs' own diagnostics.
    pub(super) fn logger(&mut self) -> Result<EbpfLogger<&'static dyn log::Log>, ProbeError> {
        const MAP: &str = "AYA_LOGS";
        self.taken.extend(self.ebpf.map(MAP).and_then(descriptor).map(|fd| (MAP, fd)));
        EbpfLogger::init(&mut self.ebpf).map_err(|error| ProbeError::aya("read the programs' diagnostics", &error))
    }

    /// Returns one program's instructions, with the maps' descriptors filled in.
    pub(super) fn code(&mut self, program: &'static str) -> Result<ProgramCode<'_>, ProbeError> {
        let relocated = match self.relocated.take() {
            Some(relocated) => relocated,
            None => Relocated::new(&self.object, &|name| self.descriptor(name))?,
        };
        self.relocated.insert(relocated).code(program)
    }

    /// Lets the instructions go, once all programs are loaded.
    pub(super) fn forget_code(&mut self) {
        self.relocated = None;
    }

    fn descriptor(&self, name: &str) -> Option<i32> {
        let taken = self.taken.iter().find(|(taken, _)| *taken == name).map(|&(_, fd)| fd);
        taken.or_else(|| self.ebpf.map(name).and_then(descriptor))
    }
}

/// As many heads can be in pieces at one time.
const PIECES: u32 = 1024;

#[derive(Clone, Copy)]
#[repr(transparent)]
struct NameTables(Names);
// SAFETY: integers without padding between them.
unsafe impl aya::Pod for NameTables {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct WatchedProcessValue(config::WatchedProcess);
// SAFETY: integers without padding between them.
unsafe impl aya::Pod for WatchedProcessValue {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct SamplingSettings(config::Sampling);
// SAFETY: integers without padding between them.
unsafe impl aya::Pod for SamplingSettings {}

/// One for each CPU that may strike.
fn drafts(watched: &AttachRequest) -> Result<u32, ProbeError> {
    if watched.sampling.is_none() {
        return Ok(1);
    }
    let cpus = aya::util::online_cpus().map_err(|(what, error)| ProbeError::kernel(what, &error))?;
    Ok(cpus.into_iter().max().unwrap_or(0) + 1)
}

/// The process as its own pid namespace numbers it, which is how the programs know its threads.
fn watched_process(pid: u32) -> Result<config::WatchedProcess, ProbeError> {
    let failed = |error: std::io::Error| ProbeError::kernel("look at the target's pid namespace", &error);
    let namespace = fs::metadata(asyncscope_discovery::process::procfs::namespace_file(pid, "pid")).map_err(failed)?;
    let own = asyncscope_discovery::process::procfs::status(pid, pid).map_err(failed)?.innermost_id.unwrap_or(pid);
    Ok(config::WatchedProcess { device: namespace.dev(), inode: namespace.ino(), pid: u64::from(own) })
}

/// The programs' own diagnostics, down to the finest.
const ALL_LEVELS: u8 = u8::MAX;

fn descriptor(map: &Map) -> Option<i32> {
    match map {
        Map::Array(map)
        | Map::HashMap(map)
        | Map::LruHashMap(map)
        | Map::PerCpuArray(map)
        | Map::ArrayOfMaps(map)
        | Map::RingBuf(map)
        | Map::PerCpuHashMap(map)
        | Map::ProgramArray(map) => Some(map.fd().as_fd().as_raw_fd()),
        _ => None,
    }
}
