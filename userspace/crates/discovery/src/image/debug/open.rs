//! Files that others name, opened with suspicion: no pipe may stall, no size may surprise.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use object::{
    LittleEndian as LE,
    elf::{ELFMAG, FileHeader64},
    read::{
        ReadCache, ReadRef,
        elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _},
    },
};

/// A larger debug file is refused: it is read whole.
const SIZE_MAX: u64 = 4 << 30;

/// The whole file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    regular(path)?.take(SIZE_MAX).read_to_end(&mut data)?;
    if data.starts_with(&ELFMAG) { Ok(data) } else { Err(io::Error::other("not an ELF file")) }
}

fn regular(path: &Path) -> io::Result<File> {
    // Opening a pipe waits for its other end, unless told not to.
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true if metadata.len() <= SIZE_MAX => Ok(file),
        true => Err(io::Error::other("larger than 4 GiB, which asyncscope does not read")),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// The build id of a file, of which only the headers and notes are read.
pub(super) fn build_id(path: &Path) -> Option<Vec<u8>> {
    let cache = ReadCache::new(regular(path).ok()?);
    let magic = (&cache).read_bytes_at(0, 4).ok()?;
    if magic != ELFMAG {
        return None;
    }
    build_id_of(&cache)
}

/// The build id by the program headers, or else by the sections.
pub(super) fn build_id_of<'data, R: ReadRef<'data>>(data: R) -> Option<Vec<u8>> {
    let header = FileHeader64::<LE>::parse(data).ok()?;
    let segments = header.program_headers(LE, data).ok()?;
    let by_segment = segments.iter().find_map(|segment| build_id_in(segment.notes(LE, data).ok()??));
    by_segment.or_else(|| {
        let sections = header.section_headers(LE, data).ok()?;
        sections.iter().find_map(|section| build_id_in(section.notes(LE, data).ok()??))
    })
}

fn build_id_in(mut notes: object::read::elf::NoteIterator<'_, FileHeader64<LE>>) -> Option<Vec<u8>> {
    const LEN_MAX: usize = 64;
    while let Ok(Some(note)) = notes.next() {
        let is_id = note.name() == object::elf::ELF_NOTE_GNU && note.n_type(LE) == object::elf::NT_GNU_BUILD_ID;
        if is_id && (1..=LEN_MAX).contains(&note.desc().len()) {
            return Some(note.desc().to_vec());
        }
    }
    None
}
