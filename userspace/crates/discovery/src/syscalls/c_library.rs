//! The C library that an executable is linked with, by the file alone.

use serde::{Deserialize, Serialize};

use crate::image::elf::Elf;

/// The C library of a file, as far as the file alone says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CLibrary {
    /// The path of the loader, which brings a C library along; `None` where all is in the executable.
    pub loader: Option<String>,
    /// Set if it is musl: nearly all system calls are made in one function, to which their number is an argument.
    pub musl: bool,
    /// Set if the file needs libraries, which a loader brings: its own, or, of a library, that of the program.
    pub beside: bool,
}

/// Two neighbours in musl's table of error texts, by a word that no other C library has.
/// <https://git.musl-libc.org/cgit/musl/tree/src/errno/__strerror.h?h=v1.2.5>
const MUSL_ERRORS: &[u8] = b"\0Result not representable\0Not a tty\0";
/// A longer path is none.
const PATH_MAX: usize = 4096;

/// Looks at the executable.
#[must_use]
pub fn find(elf: &Elf<'_>) -> CLibrary {
    let path = elf.loader().filter(|path| path.len() < PATH_MAX);
    let loader = path.map(|path| String::from_utf8_lossy(path).into_owned());
    let mentions = || elf.loaded_data().any(|data| data.windows(MUSL_ERRORS.len()).any(|at| at == MUSL_ERRORS));
    let musl = match &loader {
        Some(path) => path.rsplit('/').next().is_some_and(|file| file.starts_with("ld-musl-")),
        None => mentions(),
    };
    CLibrary { loader, musl, beside: elf.needs_libraries() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_headers_say_what_a_file_needs() {
        const DYNAMIC: u32 = 2;
        const INTERP: u32 = 3;
        let data = std::fs::read("/proc/self/exe").unwrap();
        let own = find(&Elf::parse(&data).unwrap());
        assert!(own.beside && own.loader.is_some_and(|path| path.starts_with('/')));
        // The same without a loader, as a library is, and with nothing needed.
        let elf = |tag: u32| {
            let (mut file, len) = (data.clone(), 56);
            let at = usize::try_from(u64::from_le_bytes(file[32..40].try_into().unwrap())).unwrap();
            let count = usize::from(u16::from_le_bytes(file[56..58].try_into().unwrap()));
            for header in file[at..at + count * len].chunks_mut(len).filter(|header| header[..4] == tag.to_le_bytes()) {
                header[..4].fill(0);
            }
            file
        };
        let library = find(&Elf::parse(&elf(INTERP)).unwrap());
        assert!(library.beside && library.loader.is_none());
        assert!(!find(&Elf::parse(&elf(DYNAMIC)).unwrap()).beside);
    }
}
