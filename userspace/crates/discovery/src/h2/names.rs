//! The functions of h2, by symbol.

use crate::{
    addr::ElfAddr,
    image::elf::Elf,
    names::{demangled, inherent},
};

/// The functions whose names have to do with h2 or with header maps.
#[derive(Debug)]
pub(super) struct Names {
    functions: Vec<(String, ElfAddr)>,
}

impl Names {
    pub(super) fn new(elf: &Elf<'_>) -> Self {
        let of_h2 = |name: &str| name.contains("h2") && (name.contains("headers") || name.contains("streams"));
        let relevant = |name: &str| of_h2(name) || name.contains("HeaderMap");
        let symbols = elf.symbols().iter().filter(|symbol| relevant(symbol.name));
        Self { functions: symbols.map(|symbol| (plain(symbol.name), symbol.address)).collect() }
    }

    /// Returns `true` if h2 is in the program, as far as symbols tell.
    pub(super) fn is_there(&self) -> bool {
        self.functions.iter().any(|(name, _)| name.starts_with("h2::frame::headers::"))
    }

    /// The functions of h2 whose name ends so.
    pub(super) fn ending(&self, ending: &str) -> Vec<ElfAddr> {
        let found = self.functions.iter().filter(|(name, _)| name.starts_with("h2::") && name.ends_with(ending));
        let mut addresses: Vec<_> = found.map(|&(_, address)| address).collect();
        addresses.dedup();
        addresses
    }

    /// The drop glue of header blocks.
    pub(super) fn blocks(&self) -> Vec<ElfAddr> {
        self.named(DROPS_BLOCK)
    }

    /// The drop glue of frames with a header block, as which alone that of blocks may be known.
    pub(super) fn frames(&self) -> Vec<ElfAddr> {
        self.named(DROPS_FRAME)
    }

    fn named(&self, wanted: &str) -> Vec<ElfAddr> {
        self.functions.iter().filter(|(name, _)| name == wanted).map(|&(_, address)| address).collect()
    }

    /// The place at which a function expects the block at whose start its first argument would point: 0, if it
    /// takes one.
    pub(super) fn takes_block(&self, function: ElfAddr) -> Option<i64> {
        let takes = |name: &str| {
            [DROPS_BLOCK, DROPS_FRAME, DROPS_MAP].contains(&name) || name.ends_with("::send::Send::check_headers")
        };
        self.functions.iter().any(|(name, address)| *address == function && takes(name)).then_some(0)
    }
}

const DROPS_BLOCK: &str = "core::ptr::drop_in_place<h2::frame::headers::HeaderBlock>";
/// The glue of a frame; the block's is the same where a frame starts with its block, and one name may stand for both.
const DROPS_FRAME: &str = "core::ptr::drop_in_place<h2::frame::headers::Headers>";
const DROPS_MAP: &str = "core::ptr::drop_in_place<http::header::map::HeaderMap>";

/// A function's name in the way of legacy mangling, without its own generic arguments.
fn plain(symbol: &str) -> String {
    let name = inherent(&demangled(symbol)).replace("drop_in_place::<", "drop_in_place<");
    let name = name.replace("drop_glue::<", "drop_in_place<");
    match name.split_once("::<") {
        Some((before, _)) if before.starts_with("h2::") => before.to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glue_has_one_name_for_every_compiler() {
        let check = |symbol: &str, expected: &str| assert_eq!(plain(symbol), expected, "{symbol}");
        check("_ZN4core3ptr52drop_in_place$LT$h2..frame..headers..HeaderBlock$GT$17h0123456789abcdefE", DROPS_BLOCK);
        check("_RINvNtC4core3ptr13drop_in_placeNtNtNtC2h25frame7headers11HeaderBlockEC2h2", DROPS_BLOCK);
        check("_RINvNtC4core3ptr9drop_glueNtNtNtC2h25frame7headers11HeaderBlockEC2h2", DROPS_BLOCK);
        check(
            "_RINvNtC4core3ptr9drop_glueNtNtNtC2h25frame7headers7HeadersEC2h2.llvm.16024648057214604290",
            DROPS_FRAME,
        );
    }
}
