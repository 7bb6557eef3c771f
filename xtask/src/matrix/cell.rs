//! The matrix's cells: which tokio, built how.

/// tokio's versions: the oldest with the layout that asyncscope knows, its long-term releases, and the
/// newest. Task ids became stable calls in 1.41.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.54.1/tokio/CHANGELOG.md#1410-october-22nd-2024>
const TOKIOS: [Tokio; 5] = [
    Tokio { version: "1.54.1", since_1_41: true },
    Tokio { version: "1.47.1", since_1_41: true },
    Tokio { version: "1.43.1", since_1_41: true },
    Tokio { version: "1.38.2", since_1_41: false },
    Tokio { version: "1.28.2", since_1_41: false },
];

const BUILDS: [Build; 9] = [
    Build { name: "release", ..Build::RELEASE },
    Build { name: "debug", profile: "dev", settings: "", flags: &[], panics: true },
    Build {
        name: "fat LTO, one codegen unit, panic=abort, stripped",
        settings: "lto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\nstrip = true\n",
        panics: false,
        ..Build::RELEASE
    },
    Build { name: "opt-level=z", settings: "opt-level = \"z\"\n", ..Build::RELEASE },
    Build { name: "static-pie", flags: &["-C", "target-feature=+crt-static"], ..Build::RELEASE },
    Build { name: "non-PIE", flags: &["-C", "relocation-model=static"], ..Build::RELEASE },
    Build { name: "v0 mangling", flags: &["-C", "symbol-mangling-version=v0"], ..Build::RELEASE },
    Build { name: "tokio_unstable", flags: &["--cfg", "tokio_unstable"], ..Build::RELEASE },
    Build { name: "RELR", flags: &["-C", "link-arg=-Wl,-z,pack-relative-relocs"], ..Build::RELEASE },
];

/// A tokio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokio {
    /// Its exact version.
    pub(crate) version: &'static str,
    /// Whether the truth program may use what is stable since 1.41.
    pub(crate) since_1_41: bool,
}

/// A way to build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    /// cargo's profile.
    pub(crate) profile: &'static str,
    /// Lines of the manifest's profile section.
    pub(crate) settings: &'static str,
    /// rustc's flags.
    pub(crate) flags: &'static [&'static str],
    /// Whether panics unwind, so that a program that panics goes on.
    pub(crate) panics: bool,
}

impl Build {
    const RELEASE: Self = Self { name: "", profile: "release", settings: "", flags: &[], panics: true };
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Its tokio.
    pub(crate) tokio: Tokio,
    /// Its way to build.
    pub(crate) build: Build,
}

impl Cell {
    /// What it is called.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.tokio.version, self.build.name)
    }

    /// The same as a file's name.
    pub(crate) fn folder(&self) -> String {
        let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
        self.name().chars().map(plain).collect()
    }
}

/// All of them, the newest tokio first.
pub(crate) fn all() -> Vec<Cell> {
    let of = |tokio| BUILDS.into_iter().map(move |build| Cell { tokio, build });
    TOKIOS.into_iter().flat_map(of).collect()
}
