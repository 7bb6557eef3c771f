//! Events to bytes: the inverse of [`super::decode`].

use super::{Event, What, kinds, table::events};

// Records are copied as they lie in memory, and the format of recordings is little-endian.
const _: () = assert!(cfg!(target_endian = "little"));

macro_rules! encoders {
    ($($(#[$doc:meta])* $event:ident $({ $($(#[$field_doc:meta])* $field:ident: $ty:ty),* })?
        $(($inner:ident: $of:ty))? in $file:ident, from $origin:ident, shows $reach:ident;)*) => {
        /// The length of the longest record in bytes.
        pub const MAX_LEN: usize = longest(&[$(kinds::$file::LEN_MAX),*]);

        /// Appends the event's record to `out`: at most [`MAX_LEN`] bytes.
        ///
        /// What a record has no room for is brought into shape: the vtable of a task without an id becomes 0,
        /// a thread's name what [`super::thread_name`] makes of it.
        pub fn encode(event: &Event, out: &mut Vec<u8>) {
            match &event.what {
                $(What::$event $({ $($field),* })? $(($inner))? => {
                    kinds::$file::encode(event.at, $($($field,)*)? $($inner,)? out);
                })*
            }
        }
    };
}

const fn longest(lengths: &[usize]) -> usize {
    let (mut longest, mut lengths) = (0, lengths);
    while let [length, rest @ ..] = lengths {
        longest = if *length > longest { *length } else { longest };
        lengths = rest;
    }
    longest
}

events!(encoders);

// A block of a recording states a record's length in two bytes.
const _: () = assert!(MAX_LEN <= u16::MAX as usize);
