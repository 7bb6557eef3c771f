//! Split DWARF: what is not in the executable but in a `.dwp` or in `.dwo` files beside it.

use std::path::{Path, PathBuf};

use gimli::{DwarfFileType, DwoId, EndianSlice, LittleEndian};

use super::{
    open,
    sections::{self, Dwarf},
    units::{Unit, UnitRoot, Units},
};

/// No more `.dwo` files than this are read: one for each unit that holds a task's functions.
const FILES_MAX: usize = 1024;
/// Nor more bytes.
const BYTES_MAX: usize = 1 << 31;

/// The files beside one that refers to them.
#[derive(Debug)]
pub(super) struct Companions<'p> {
    path: Option<&'p Path>,
    /// `None` until it was looked for.
    package: Option<Vec<u8>>,
    files_left: usize,
    bytes_left: usize,
}

/// An action to take with a unit that was found.
type Then<'t> = &'t mut dyn for<'a> FnMut(&Units<'a>, &Unit<'a>) -> Option<()>;

impl<'p> Companions<'p> {
    /// Those of a file at this path.
    pub(super) fn new(path: Option<&'p Path>) -> Self {
        Self { path, package: None, files_left: FILES_MAX, bytes_left: BYTES_MAX }
    }

    /// Finds the rest of a unit that has only its skeleton here.
    pub(super) fn with(
        &mut self,
        parent: &Dwarf<'_>,
        skeleton: &Unit<'_>,
        root: &UnitRoot<'_>,
        then: Then<'_>,
    ) -> Option<()> {
        let path = self.path?;
        let package = self.package.get_or_insert_with(|| open::read(&beside(path)).unwrap_or_default());
        if let Some(()) = in_package(package, parent, skeleton, then) {
            return Some(());
        }
        let name = parent.attr_string(skeleton, root.dwo_name?).ok()?;
        let name = PathBuf::from(name.to_string().ok()?);
        let directory = skeleton.comp_dir.and_then(|directory| directory.to_string().ok()).unwrap_or_default();
        let near = path.parent()?.join(name.file_name()?);
        [Path::new(directory).join(&name), near].iter().find_map(|path| self.in_file(path, parent, skeleton, then))
    }

    fn in_file(&mut self, path: &Path, parent: &Dwarf<'_>, skeleton: &Unit<'_>, then: Then<'_>) -> Option<()> {
        self.files_left = self.files_left.checked_sub(1)?;
        let data = open::read(path).ok()?;
        self.bytes_left = self.bytes_left.checked_sub(data.len())?;
        let sections = sections::load_split(&data)?;
        let mut dwarf = sections.borrow(|data| sections::slice(data));
        dwarf.make_dwo(parent);
        dwarf.file_type = DwarfFileType::Dwo;
        read(&dwarf, skeleton, then)
    }
}

/// `svc.dwp` beside `svc`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".dwp");
    PathBuf::from(name)
}

fn in_package(data: &[u8], parent: &Dwarf<'_>, skeleton: &Unit<'_>, then: Then<'_>) -> Option<()> {
    let sections = sections::load_package(data)?;
    let package = sections.borrow(|data| sections::slice(data), EndianSlice::new(&[], LittleEndian)).ok()?;
    let DwoId(id) = skeleton.dwo_id?;
    let dwarf = package.find_cu(DwoId(id), parent).ok()??;
    read(&dwarf, skeleton, then)
}

/// The unit of the skeleton's id, with what only the skeleton knows.
fn read<'a>(dwarf: &'a Dwarf<'a>, skeleton: &Unit<'a>, then: Then<'_>) -> Option<()> {
    let units = Units::new(dwarf);
    let mut opened = units.headers.iter().filter_map(|&header| units.open(header));
    let (mut unit, _) = opened.find(|(unit, _)| unit.dwo_id == skeleton.dwo_id)?;
    unit.copy_relocated_attributes(skeleton);
    then(&units, &unit)
}
