//! tokio's waker vtable, found from the task vtables' poll functions: each of them loads its address.

use std::collections::HashMap;

use crate::{addr::ElfAddr, image::elf::Elf};

/// The functions of `WAKER_VTABLE`, in its order.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/waker.rs#L110-L116>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakerVtable {
    /// The address the vtable lies at.
    pub address: ElfAddr,
    /// `wake_by_val`
    pub wake_by_val: ElfAddr,
    /// `wake_by_ref`
    pub wake_by_ref: ElfAddr,
}

/// The one table of four functions that more poll functions mention than any other; `mentioned` holds, for
/// each poll function, the static addresses it loads. Where that is not most of them (those of blocking
/// tasks need no waker), `wakes` has to tell that its functions do what a waker's do.
#[must_use]
pub fn find(elf: &Elf<'_>, mentioned: &[Vec<ElfAddr>], wakes: impl Fn(&WakerVtable) -> bool) -> Option<WakerVtable> {
    let mut counts: HashMap<ElfAddr, usize> = HashMap::new();
    for addresses in mentioned {
        let mut addresses = addresses.clone();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.retain(|&address| four_functions(elf, address).is_some());
        addresses.into_iter().for_each(|address| *counts.entry(address).or_default() += 1);
    }
    let most = counts.values().copied().max()?;
    let mut best = counts.into_iter().filter(|&(_, count)| count == most);
    let (address, count) = best.next()?;
    // Two that are mentioned as often prove nothing.
    if best.next().is_some() {
        return None;
    }
    let waker = at(elf, address)?;
    (count * 2 > mentioned.len() || wakes(&waker)).then_some(waker)
}

/// The waker at this address, if it may be one.
#[must_use]
pub fn at(elf: &Elf<'_>, address: ElfAddr) -> Option<WakerVtable> {
    let [_, wake_by_val, wake_by_ref, _] = four_functions(elf, address)?;
    Some(WakerVtable { address, wake_by_val, wake_by_ref })
}

fn four_functions(elf: &Elf<'_>, address: ElfAddr) -> Option<[ElfAddr; 4]> {
    let mut functions = [ElfAddr(0); 4];
    for (place, function) in (0..).zip(&mut functions) {
        *function = elf.function_at(elf.pointer(address.plus(place * 8))?)?.start;
    }
    Some(functions)
}
