//! Machine code: how it is decoded and followed.

pub mod x86_64;
