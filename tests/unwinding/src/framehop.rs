//! framehop, given the files that are mapped.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use asyncscope_discovery::process::procfs::{self, Mapping};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{Module, ModuleSectionInfo, Unwinder as _};
use object::{File, Object as _, ObjectSection as _, ObjectSegment as _};

use crate::Taken;

/// Frames that are looked at.
const FRAMES_MAX: usize = 600;

/// The unwinder and what it keeps between stacks.
pub(crate) struct Framehop {
    unwinder: UnwinderX86_64<Arc<[u8]>>,
    cache: CacheX86_64,
}

/// The sections of a file.
struct Sections<'a>(File<'a>);

impl ModuleSectionInfo<Arc<[u8]>> for Sections<'_> {
    fn base_svma(&self) -> u64 {
        0
    }

    fn section_svma_range(&mut self, name: &[u8]) -> Option<Range<u64>> {
        let section = self.0.section_by_name_bytes(name)?;
        Some(section.address()..section.address() + section.size())
    }

    fn section_data(&mut self, name: &[u8]) -> Option<Arc<[u8]>> {
        Some(self.0.section_by_name_bytes(name)?.uncompressed_data().ok()?.into())
    }
}

impl Framehop {
    pub(crate) fn new(pid: u32, maps: &[Mapping]) -> Self {
        let mut files: BTreeMap<&Path, Vec<Range<u64>>> = BTreeMap::new();
        for mapping in maps {
            files.entry(Path::new(&mapping.path)).or_default().push(mapping.range.clone());
        }
        let mut unwinder = UnwinderX86_64::new();
        for (path, ranges) in files {
            let Some((whole, data)) = read(pid, path, &ranges) else { continue };
            let Ok(file) = File::parse(&data[..]) else { continue };
            let Some(first) = file.segments().next() else { continue };
            let base = whole.start.wrapping_sub(first.address() & !0xfff);
            unwinder.add_module(Module::new(path.display().to_string(), whole, base, Sections(file)));
        }
        Self { unwinder, cache: CacheX86_64::new() }
    }

    /// Where the thread is, and the calls that it is to return from, the innermost first.
    pub(crate) fn unwind(&mut self, taken: &Taken) -> Vec<u64> {
        let registers = UnwindRegsX86_64::new(taken.registers.ip, taken.registers.sp, taken.registers.bp);
        let mut read = |address| taken.word(address);
        let mut frames = self.unwinder.iter_frames(taken.registers.ip, registers, &mut self.cache, &mut read);
        let mut all = Vec::new();
        while let Ok(Some(frame)) = frames.next()
            && all.len() < FRAMES_MAX
        {
            all.push(frame.address_for_lookup());
        }
        all
    }
}

/// Where a file lies, and its bytes; those of what the kernel maps are read from memory.
fn read(pid: u32, path: &Path, ranges: &[Range<u64>]) -> Option<(Range<u64>, Vec<u8>)> {
    let whole = ranges.first()?.start..ranges.last()?.end;
    let data = match path.to_str() {
        Some("[vdso]") => {
            let process = asyncscope_discovery::process::Process::by_pid(pid).ok()?;
            let mut bytes = vec![0; usize::try_from(whole.end - whole.start).ok()?];
            let len = process.read_memory(asyncscope_discovery::addr::RuntimeAddr(whole.start), &mut bytes);
            bytes.truncate(len);
            bytes
        }
        _ if path.is_absolute() => fs::read(procfs::below_root(pid, path)).ok()?,
        _ => return None,
    };
    Some((whole, data))
}
