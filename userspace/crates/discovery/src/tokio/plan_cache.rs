//! Plans kept by build id, so that a large executable is searched once.
//!
//! A plan says where probes go, so a kept one is believed only if nobody else can have written it: the
//! directory and the file must belong to this user and be writable by no other. It must also be of this
//! version of asyncscope, and the file's bytes at every hook must be as they were.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::{image::elf::Elf, process::procfs};
use asyncscope_trace::facts::CurrentTask;

/// A larger file is not read: no plan takes that much.
const LEN_MAX: u64 = 64 << 20;
const OTHERS_MAY_WRITE: u32 = 0o022;

#[derive(Serialize, Deserialize)]
struct KeptPlan<P> {
    /// Of asyncscope; see [`version`].
    version: String,
    build_id: String,
    /// The executable's length in bytes.
    len: usize,
    plan: P,
}

/// The executable's plan: a kept one, or what `discover` finds, which is kept then. Without a build id, or
/// where nothing can be kept, it is found anew each time.
///
/// # Errors
///
/// Those of `discover`.
pub fn plan<E>(elf: &Elf<'_>, discover: impl FnOnce(&Elf<'_>) -> Result<Plan, E>) -> Result<Plan, E> {
    // A separate debug file may change without the executable.
    let Some(directory) = directory().filter(|_| elf.debug_file(false).is_none()) else { return discover(elf) };
    plan_in(&directory, elf, discover)
}

fn plan_in<E>(directory: &Path, elf: &Elf<'_>, discover: impl FnOnce(&Elf<'_>) -> Result<Plan, E>) -> Result<Plan, E> {
    let Some(build_id) = elf.build_id.as_deref().filter(|id| id.len() >= 16) else { return discover(elf) };
    let file = directory.join(format!("{build_id}.plan"));
    if let Some(plan) = kept(&file, build_id, elf) {
        return Ok(plan);
    }
    let plan = discover(elf)?;
    // What is beside the executable may change without it: names would stay as they were.
    if elf.is_split() {
        return Ok(plan);
    }
    if let Err(error) = keep(&file, build_id, elf, &plan) {
        tracing::debug!("the plan is not kept in {}: {error}", file.display());
    }
    Ok(plan)
}

/// `/var/cache/asyncscope` for root, else where the XDG base directory specification says.
fn directory() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from("/var/cache/asyncscope"));
    }
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    Some(set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?.join("asyncscope"))
}

/// Adds to a kept plan what was observed while its executable ran. Where none is kept, nothing is.
pub fn learn(build_id: &str, current_task: CurrentTask) {
    let Some(file) = directory().map(|directory| directory.join(format!("{build_id}.plan"))) else { return };
    learn_in(&file, build_id, current_task);
}

fn learn_in(file: &Path, build_id: &str, current_task: CurrentTask) {
    let Some(mut kept) = read(file).filter(|kept| kept.build_id == build_id && kept.version == version()) else {
        return;
    };
    kept.plan.current_task = Some(current_task);
    if let Err(error) = write(file, &kept) {
        tracing::debug!("the plan in {} stays as it was: {error}", file.display());
    }
}

fn kept(file: &Path, build_id: &str, elf: &Elf<'_>) -> Option<Plan> {
    let kept = read(file)?;
    let same = kept.version == version() && kept.build_id == build_id && kept.len == elf.data().len();
    let fits = kept.plan.placements.iter().all(|placement| {
        elf.file_offset(placement.address) == Some(placement.offset)
            && elf.bytes(placement.address, placement.bytes.len() as u64) == placement.bytes
    });
    (same && fits).then_some(kept.plan)
}

/// Reads the file's content, if nobody else can have written it.
fn read(file: &Path) -> Option<KeptPlan<Plan>> {
    let is_ours = |metadata: &fs::Metadata| {
        metadata.uid() == nix::unistd::geteuid().as_raw() && metadata.mode() & OTHERS_MAY_WRITE == 0
    };
    if !is_ours(&fs::symlink_metadata(file.parent()?).ok()?) {
        return None;
    }
    let opened = fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(file).ok()?;
    let metadata = opened.metadata().ok()?;
    if !is_ours(&metadata) || !metadata.is_file() || metadata.len() > LEN_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    opened.take(LEN_MAX).read_to_end(&mut bytes).ok()?;
    let (len, compressed) =
        lz4_flex::block::uncompressed_size(&bytes).ok().filter(|&(len, _)| len as u64 <= LEN_MAX)?;
    serde_json::from_slice(&lz4_flex::block::decompress(compressed, len).ok()?).ok()
}

/// This very build of asyncscope: another may find more, or know better.
fn version() -> String {
    let own = fs::metadata(procfs::OWN_EXECUTABLE).map(|own| (own.len(), own.mtime(), own.mtime_nsec()));
    format!("{} {:?}", env!("CARGO_PKG_VERSION"), own.unwrap_or_default())
}

fn keep(file: &Path, build_id: &str, elf: &Elf<'_>, plan: &Plan) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    write(file, &KeptPlan { version: version(), build_id: build_id.to_owned(), len: elf.data().len(), plan })
}

fn write<P: Serialize>(file: &Path, kept: &KeptPlan<P>) -> io::Result<()> {
    let bytes = lz4_flex::compress_prepend_size(&serde_json::to_vec(kept)?);
    // Another asyncscope may read it at the same time: the whole file appears at once.
    let partial = file.with_extension(std::process::id().to_string());
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(&partial)?.write_all(&bytes);
    written.and_then(|()| fs::rename(&partial, file)).inspect_err(|_| drop(fs::remove_file(&partial)))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::unix::fs::PermissionsExt as _};

    use super::*;

    /// Runs `change` on a fresh cache that holds a plan, and says whether the plan is still believed.
    fn check(name: &str, change: impl FnOnce(&Path, &Path), believed: bool) {
        let data = fs::read("/proc/self/exe").unwrap();
        let mut elf = Elf::parse(&data).unwrap();
        elf.build_id = Some("0123456789abcdef".to_owned());
        let directory = env::temp_dir().join(format!("asyncscope-cache-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&directory));
        let plan = Plan { tokio: Some("1.54.1".to_owned()), ..Plan::default() };
        let searched = Cell::new(0);
        let search = |_: &Elf<'_>| {
            searched.set(searched.get() + 1);
            Ok::<_, String>(plan.clone())
        };
        assert_eq!(plan_in(&directory, &elf, search), Ok(plan.clone()));
        change(&directory, &directory.join("0123456789abcdef.plan"));
        assert_eq!(plan_in(&directory, &elf, search), Ok(plan.clone()));
        assert_eq!(searched.get() == 1, believed, "{name}");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_observed_is_kept() {
        let data = fs::read("/proc/self/exe").unwrap();
        let mut elf = Elf::parse(&data).unwrap();
        elf.build_id = Some("0123456789abcdef".to_owned());
        let directory = env::temp_dir().join(format!("asyncscope-cache-learn-{}", std::process::id()));
        let plan = || plan_in(&directory, &elf, |_| Ok::<_, String>(Plan::default())).unwrap().current_task;
        let (file, found) =
            (directory.join("0123456789abcdef.plan"), CurrentTask { below: 8, ..CurrentTask::default() });
        learn_in(&file, "0123456789abcdef", found);
        assert!(!file.exists());
        assert_eq!(plan(), None);
        learn_in(&file, "fedcba9876543210", found);
        assert_eq!(plan(), None);
        learn_in(&file, "0123456789abcdef", found);
        assert_eq!(plan(), Some(found));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn names_from_beside_the_executable_are_not_kept() {
        let directory = env::temp_dir().join(format!("asyncscope-cache-split-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("p.rs"), "fn main() {}").unwrap();
        let check = |debug_info: &str, kept: bool| {
            let mut rustc = std::process::Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
            rustc.current_dir(&directory).args(["-g", "-C", &format!("split-debuginfo={debug_info}"), "p.rs"]);
            assert!(rustc.status().unwrap().success());
            let data = fs::read(directory.join("p")).unwrap();
            let mut elf = Elf::parse(&data).unwrap();
            elf.build_id = Some("0123456789abcdef".to_owned());
            let plans = directory.join(debug_info);
            plan_in(&plans, &elf, |_| Ok::<_, String>(Plan::default())).unwrap();
            assert_eq!(plans.exists(), kept, "{debug_info}");
        };
        check("off", true);
        check("unpacked", false);
        check("packed", false);
        fs::remove_dir_all(&directory).unwrap();
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_what_nobody_else_can_have_written_is_believed() {
        check("kept", |_, _| {}, true);
        check("open-directory", |directory, _| mode(directory, 0o777), false);
        check("open-file", |_, file| mode(file, 0o666), false);
        check("garbage", |_, file| fs::write(file, b"garbage").unwrap(), false);
        check("empty", |_, file| fs::write(file, b"").unwrap(), false);
        check(
            "link",
            |directory, file| {
                fs::rename(file, directory.join("elsewhere")).unwrap();
                std::os::unix::fs::symlink("elsewhere", file).unwrap();
            },
            false,
        );
    }
}
