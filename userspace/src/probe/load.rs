//! The eBPF object: its maps, and its programs' instructions.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData},
};

use aya_log::EbpfLogger;
use probe_common::{
    config,
    http::Names,
    vtables::{self, Pair},
};

use super::{
    Http, ProbeError, Sampling, Watched, blocked, btf,
    chains::Tables,
    error::privileges_are_lent,
    features::{For, explain},
    http2, multi,
    syscall::{Command, bpf},
};
use asyncscope_trace::facts::RunningTask;

/// Built by `cargo xtask build-ebpf` from `probe-ebpf`, and committed.
static OBJECT: &[u8] = aya::include_bytes_aligned!("asyncscope.bpf.o");
/// Another object to load instead, for CI on a machine whose compiler is not the pinned one.
const OBJECT_VARIABLE: &str = "ASYNCSCOPE_BPF_OBJECT";

/// The loaded object: maps exist, programs are not attached.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) ebpf: Ebpf,
    object: Cow<'static, [u8]>,
    /// Descriptors of the maps that were taken out of `ebpf`; their takers outlive the loading.
    taken: Vec<(&'static str, i32)>,
}

/// Whether another object than the one built in is loaded.
#[must_use]
pub fn is_fresh_object() -> bool {
    other_object().is_some()
}

/// Not where the privileges are not the caller's own: a program reads all of the kernel's memory.
fn other_object() -> Option<OsString> {
    env::var_os(OBJECT_VARIABLE).filter(|_| !privileges_are_lent())
}

impl Loaded {
    pub(super) fn new(watched: &Watched, logs: bool) -> Result<Self, ProbeError> {
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
        for (map, size) in tables.sizes().into_iter().chain(blocked::sizes(watched.blocked.as_ref())) {
            loader.map_max_entries(map, size);
        }
        // Where the kernel takes no programs, aya takes it for an old one, and fails over what that means.
        let refused = |error| {
            let refusal = multi::refusal().unwrap_or_else(|| ProbeError::aya("create the eBPF maps", &error));
            explain(refusal, For::Tasks)
        };
        let ebpf = loader.load(&object).map_err(refused)?;
        let mut loaded = Self { ebpf, object, taken: Vec::new() };
        loaded.set_vtables(&watched.vtables)?;
        tables.fill(&mut loaded.ebpf)?;
        if let Some(tasks) = &watched.blocked {
            blocked::note(&mut loaded, tasks)?;
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
        let has_host_hooks = watched.blocked.is_some() || watched.sampling.is_some();
        if watched.http.is_some() || watched.prints.is_some() || has_host_hooks {
            loaded.set("WATCHED", WatchedProcess(watched_process(watched.pid)?))?;
        }
        Ok(loaded)
    }

    fn set_vtables(&mut self, vtables: &[(u64, u32)]) -> Result<(), ProbeError> {
        let failed = |error: aya::maps::MapError| ProbeError::aya("fill the maps of task vtables", &error);
        let mut pairs: BTreeMap<u32, Pair> = BTreeMap::new();
        let has_room = |&&(vtable, id_offset): &&(u64, u32)| {
            vtables::put(pairs.entry(vtables::place(vtable)).or_default(), vtable, id_offset)
        };
        let (_, more): (Vec<_>, Vec<_>) = vtables.iter().partition(has_room);
        let map = self.ebpf.map_mut("VTABLES").ok_or_else(|| absent("VTABLES"))?;
        let mut map: Array<&mut MapData, Pair> = map.try_into().map_err(failed)?;
        pairs.into_iter().try_for_each(|(place, pair)| map.set(place, pair, 0)).map_err(failed)?;
        let map = self.ebpf.map_mut("MORE_VTABLES").ok_or_else(|| absent("MORE_VTABLES"))?;
        let mut map: HashMap<&mut MapData, u64, u32> = map.try_into().map_err(failed)?;
        more.into_iter().try_for_each(|(vtable, id_offset)| map.insert(vtable, id_offset, 0)).map_err(failed)
    }

    fn set_http(&mut self, http: &Http) -> Result<(), ProbeError> {
        let names = Names::new(http.headers.iter().map(String::as_str));
        self.set("NAMES", NameTables(names))?;
        if let Some(layout) = http.http2 {
            http2::set(&mut self.ebpf, layout, &http.headers)?;
        }
        Ok(())
    }

    fn set_sampling(&mut self, sampling: Sampling) -> Result<(), ProbeError> {
        let settings = config::Sampling {
            thread_pointer: btf::thread_pointer()?,
            below: sampling.below.into(),
            tagged: sampling.tagged.into(),
            stack_pages: sampling.stack_pages.into(),
            traced: 0,
        };
        self.set("SAMPLING", SamplingSettings(settings))
    }

    /// Where the kernel does not tell where its own structures have their fields, it is not looked at.
    fn set_running(&mut self, running: &RunningTask) -> Result<(), ProbeError> {
        let Ok(thread_pointer) = btf::thread_pointer() else { return Ok(()) };
        let (below, tagged) = (running.below.into(), running.tagged.into());
        let settings = config::Sampling { thread_pointer, below, tagged, stack_pages: 0, traced: 1 };
        self.set("SAMPLING", SamplingSettings(settings))
    }

    fn set<T: aya::Pod>(&mut self, name: &'static str, value: T) -> Result<(), ProbeError> {
        let failed = |error: aya::maps::MapError| ProbeError::aya("fill a map of settings", &error);
        let map = self.ebpf.map_mut(name).ok_or_else(|| absent(name))?;
        let mut map: Array<&mut MapData, T> = map.try_into().map_err(failed)?;
        map.set(0, value, 0).map_err(failed)
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

    /// One program's instructions, with the maps' descriptors filled in.
    pub(super) fn code(&self, program: &'static str) -> Result<Code, ProbeError> {
        let failed = |why: String| ProbeError::Kernel { what: "read the eBPF object".to_owned(), why };
        let mut object = aya_obj::Object::parse(&self.object).map_err(|error| failed(error.to_string()))?;
        let definitions: Vec<(String, aya_obj::Map)> = object.maps.drain().collect();
        let descriptor = |name: &str| {
            self.taken
                .iter()
                .find(|(taken, _)| *taken == name)
                .map(|&(_, fd)| fd)
                .or_else(|| self.ebpf.map(name).and_then(descriptor))
        };
        let maps: Vec<_> =
            definitions.iter().filter_map(|(name, map)| Some((name.as_str(), descriptor(name)?, map))).collect();
        let text = object.functions.keys().map(|&(section, _)| section).collect();
        object.relocate_maps(maps.into_iter(), &text).map_err(|error| failed(error.to_string()))?;
        object.relocate_calls(&text).map_err(|error| failed(error.to_string()))?;
        let key = object.programs.get(program).ok_or_else(|| absent(program))?.function_key();
        let function = object.functions.get(&key).ok_or_else(|| absent(program))?.clone();
        let types = if function.func_info.func_info.len() > 1 { types(&mut object)? } else { None };
        Ok(Code { function, types })
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
struct WatchedProcess(config::Watched);
// SAFETY: integers without padding between them.
unsafe impl aya::Pod for WatchedProcess {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct SamplingSettings(config::Sampling);
// SAFETY: integers without padding between them.
unsafe impl aya::Pod for SamplingSettings {}

/// One for each CPU that may strike.
fn drafts(watched: &Watched) -> Result<u32, ProbeError> {
    if watched.sampling.is_none() {
        return Ok(1);
    }
    let cpus = aya::util::online_cpus().map_err(|(what, error)| ProbeError::kernel(what, &error))?;
    Ok(cpus.into_iter().max().unwrap_or(0) + 1)
}

/// The process as its own pid namespace numbers it, which is how the programs know its threads.
fn watched_process(pid: u32) -> Result<config::Watched, ProbeError> {
    let failed = |error: std::io::Error| ProbeError::kernel("look at the target's pid namespace", &error);
    let namespace = fs::metadata(asyncscope_discovery::procfs::namespace_file(pid, "pid")).map_err(failed)?;
    let own = asyncscope_discovery::procfs::status(pid, pid).map_err(failed)?.innermost_id.unwrap_or(pid);
    Ok(config::Watched { device: namespace.dev(), inode: namespace.ino(), pid: u64::from(own) })
}

/// One program's code.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) function: aya_obj::Function,
    /// The object's BTF, where the program has several functions: the kernel wants to know those that it
    /// calls back.
    pub(super) types: Option<OwnedFd>,
}

/// `struct bpf_attr` as `BPF_BTF_LOAD` reads it.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L1679-L1692>
#[repr(C)]
struct TypesLoad {
    types: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    padding: u32,
}

fn types(object: &mut aya_obj::Object) -> Result<Option<OwnedFd>, ProbeError> {
    let failed = |why: String| ProbeError::Kernel { what: "load the eBPF programs' types".to_owned(), why };
    let Some(features) = aya::features().btf() else { return Ok(None) };
    let types = object.fixup_and_sanitize_btf(features).map_err(|error| failed(error.to_string()))?;
    let Some(bytes) = types.map(aya_obj::btf::Btf::to_bytes) else { return Ok(None) };
    load_types(&bytes).map(Some).map_err(|error| ProbeError::kernel("load the eBPF programs' types", &error))
}

/// Has the kernel take types.
pub(super) fn load_types(bytes: &[u8]) -> io::Result<OwnedFd> {
    let size = bytes.len() as u32;
    let mut attributes =
        TypesLoad { types: bytes.as_ptr() as u64, log: 0, size, log_size: 0, log_level: 0, padding: 0 };
    // SAFETY: the bytes outlive the call, with the length stated.
    unsafe { bpf(Command::BtfLoad, &mut attributes) }
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

pub(super) fn absent(name: &str) -> ProbeError {
    ProbeError::Kernel {
        what: format!("find {name} in the eBPF object"),
        why: "the object is of another version".to_owned(),
    }
}
