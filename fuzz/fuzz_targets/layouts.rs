//! Debug info with types.
#![no_main]

#[path = "../../userspace/tests/hostile/input.rs"]
#[expect(dead_code, reason = "each target uses one of its functions")]
mod input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| input::layouts(bytes));
