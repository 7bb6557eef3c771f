//! The matrix's cells: which tokio, built how.

/// tokio's versions: the oldest with the layout that asyncscope knows, its long-term releases, and the
/// newest. Task ids became stable calls in 1.41.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.54.1/tokio/CHANGELOG.md#1410-october-22nd-2024>
pub(super) const TOKIOS: [Tokio; 5] = [
    Tokio { version: "1.54.1", since_1_41: true },
    Tokio { version: "1.47.1", since_1_41: true },
    Tokio { version: "1.43.1", since_1_41: true },
    Tokio { version: "1.38.2", since_1_41: false },
    Tokio { version: "1.28.2", since_1_41: false },
];

const BUILDS: [Build; 12] = [
    Build { name: "release", ..Build::RELEASE },
    Build { name: "debug", profile: "dev", ..Build::RELEASE },
    Build {
        name: "fat LTO, one codegen unit, panic=abort, stripped",
        settings: "lto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\n",
        panics: false,
        stripped: true,
        ..Build::RELEASE
    },
    Build {
        name: "no unwind tables, panic=abort",
        settings: "panic = \"abort\"\n",
        flags: &["-C", "force-unwind-tables=no"],
        panics: false,
        unwind_tables: false,
        ..Build::RELEASE
    },
    Build { name: "opt-level=z", settings: "opt-level = \"z\"\n", ..Build::RELEASE },
    Build { name: "static-pie", flags: &["-C", "target-feature=+crt-static"], ..Build::RELEASE },
    Build { name: "static musl", target: "x86_64-unknown-linux-musl", ..Build::RELEASE },
    Build { name: "non-PIE", flags: &["-C", "relocation-model=static"], ..Build::RELEASE },
    Build { name: "v0 mangling", flags: &["-C", "symbol-mangling-version=v0"], ..Build::RELEASE },
    Build { name: "tokio_unstable", flags: &["--cfg", "tokio_unstable"], ..Build::RELEASE },
    Build { name: "nightly rustc", toolchain: Some("nightly"), ..Build::RELEASE },
    Build { name: "RELR", flags: &["-C", "link-arg=-Wl,-z,pack-relative-relocs"], ..Build::RELEASE },
];

/// A tokio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokio {
    /// Its exact version.
    pub(crate) version: &'static str,
    /// `true` if the truth program may use what is stable since 1.41.
    pub(crate) since_1_41: bool,
}

/// A way to build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// cargo's profile.
    pub(crate) profile: &'static str,
    /// Lines of the manifest's profile section.
    pub(crate) settings: &'static str,
    /// The target that it is built for. Always named, so that flags do not reach build scripts and macros.
    pub(crate) target: &'static str,
    /// rustc's flags.
    pub(crate) flags: &'static [&'static str],
    /// rustup's name of the compiler, if it is not the one that builds asyncscope.
    pub(crate) toolchain: Option<&'static str>,
    /// `true` if panics unwind, so that a program that panics goes on.
    pub(crate) panics: bool,
    /// `true` if it is shipped without symbols; the file with them is kept.
    pub(crate) stripped: bool,
    /// `false` if it is shipped without unwind tables, those of the standard library among them.
    pub(crate) unwind_tables: bool,
}

impl Build {
    const RELEASE: Self = Self {
        name: "",
        profile: "release",
        settings: "",
        target: "x86_64-unknown-linux-gnu",
        flags: &[],
        toolchain: None,
        panics: true,
        stripped: false,
        unwind_tables: true,
    };
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
    /// Returns what it is called.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.tokio.version, self.build.name)
    }

    /// Returns whether it is one of the few that stand for all: without symbols, without optimisation, for size; of
    /// the newest tokio and of the oldest.
    pub(crate) fn is_of_few(&self) -> bool {
        let few = [("1.54.1", "fat LTO"), ("1.28.2", "debug"), ("1.28.2", "fat LTO"), ("1.38.2", "opt-level=z")];
        few.iter().any(|(tokio, build)| self.tokio.version == *tokio && self.build.name.starts_with(build))
    }

    /// Returns its name as that of a file.
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
