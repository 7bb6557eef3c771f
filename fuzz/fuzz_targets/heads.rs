//! HTTP through a connection, as the programs in the kernel follow it.
#![no_main]

#[path = "../../probe-common/tests/http/drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drive::in_whole_calls_and_byte_by_byte(bytes, "a fuzzer"));
