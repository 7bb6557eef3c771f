//! The virtual machine: two processors, in software, and what its console says.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::parts::{Kernel, Parts};

/// A machine that takes longer is ended.
const OFF_WITHIN: Duration = Duration::from_mins(90);
const MEMORY: &str = "3G";

/// Boots it, and waits until it is off. What it says is in the log.
///
/// # Errors
/// Where qemu fails, or the machine does not go off.
pub(super) fn boot(parts: &Parts, kernel: &Kernel, initramfs: &Path, log: &Path) -> Result<()> {
    let mut qemu = parts.qemu();
    qemu.args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY]);
    qemu.args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    // A kernel that panics restarts at once, which ends the machine.
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 oops=panic"]);
    let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let errors = out.try_clone()?;
    qemu.stdin(Stdio::null()).stdout(out).stderr(errors);
    let mut running = qemu.spawn().context("cannot start qemu")?;
    let end = Instant::now() + OFF_WITHIN;
    loop {
        if let Some(status) = running.try_wait()? {
            ensure!(status.success(), "qemu ended with {status}");
            return Ok(());
        }
        if Instant::now() > end {
            running.kill()?;
            running.wait()?;
            bail!("it was not off after {OFF_WITHIN:?}");
        }
        sleep(Duration::from_millis(200));
    }
}
