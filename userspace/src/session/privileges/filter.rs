//! What the agent cannot ask the kernel for any more once it is locked down.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// Nothing here calls these after the attach. `openat2` and `io_uring` would go around the rules on `open`.
const DENIED: [libc::c_long; 24] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    libc::SYS_openat2,
    libc::SYS_open_by_handle_at,
    libc::SYS_io_uring_setup,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
];

/// Has these calls fail from here on, in every thread.
///
/// # Errors
///
/// The kernel refuses.
pub(super) fn install() -> Result<()> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Err(anyhow!("no filter for {}", std::env::consts::ARCH));
    };
    let denied = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules()?, SeccompAction::Allow, denied, arch)?;
    seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter)?)?;
    Ok(())
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_kill, vec![to_others()?]);
    rules.insert(libc::SYS_tgkill, vec![to_others()?]);
    rules.insert(libc::SYS_openat, writes_what_exists(2)?);
    // Newer architectures have no such calls.
    #[cfg(target_arch = "x86_64")]
    rules.extend([(libc::SYS_open, writes_what_exists(1)?), (libc::SYS_creat, Vec::new())]);
    Ok(rules)
}

/// A signal to any process but this one, which a panic may abort.
fn to_others() -> Result<SeccompRule> {
    let own = u64::from(std::process::id());
    Ok(SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own)?])?)
}

/// Opening a file to write it that is there already, such as another process's memory: a new one is made
/// with `O_CREAT` and `O_EXCL` together.
fn writes_what_exists(flags: u8) -> Result<Vec<SeccompRule>> {
    let word = |flag: i32| u64::from(flag.cast_unsigned());
    let (access, new) = (word(libc::O_ACCMODE), word(libc::O_CREAT | libc::O_EXCL));
    // The last is an access mode without a name.
    let writing = [libc::O_WRONLY, libc::O_RDWR, libc::O_WRONLY | libc::O_RDWR].map(word);
    let not_new = [0, libc::O_CREAT, libc::O_EXCL].map(word);
    let pairs = writing.iter().flat_map(|writing| not_new.iter().map(move |not_new| writing | not_new));
    pairs
        .map(|bits| {
            let masked = SeccompCmpOp::MaskedEq(access | new);
            Ok(SeccompRule::new(vec![SeccompCondition::new(flags, SeccompCmpArgLen::Dword, masked, bits)?])?)
        })
        .collect()
}
