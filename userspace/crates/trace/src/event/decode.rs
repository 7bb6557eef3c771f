//! Bytes to events.
//!
//! The bytes may come from a file that anyone wrote: every record is judged by its kind and its exact
//! length, and no value in it can make decoding panic.

use probe_common::record::Head;
use zerocopy::FromBytes as _;

pub use super::error::DecodeError;
use super::{Event, What, fields, kinds, table::events};

type Decoder = fn(Head, &[u8]) -> Result<What, DecodeError>;

/// Enters the events' decoders by the kinds that stand for them.
macro_rules! decoders {
    ($($(#[$doc:meta])* $event:ident $({ $($(#[$field_doc:meta])* $field:ident: $ty:ty),* })?
        $(($inner:ident: $of:ty))? in $file:ident, from $origin:ident, shows $reach:ident;)*) => {
        static DECODERS: [Option<Decoder>; 256] = {
            let mut decoders = [None; 256];
            $(enter(&mut decoders, kinds::$file::KINDS, kinds::$file::decode);)*
            decoders
        };
    };
}

const fn enter(decoders: &mut [Option<Decoder>; 256], kinds: &[u8], decoder: Decoder) {
    let mut kinds = kinds;
    while let [kind, rest @ ..] = kinds {
        assert!(decoders[*kind as usize].is_none(), "two events with one kind");
        decoders[*kind as usize] = Some(decoder);
        kinds = rest;
    }
}

events!(decoders);

/// Returns the event in one record, which is all of `bytes`.
///
/// Flags that the event has no place for are ignored: PREDICTED at the end of a poll, and all that are
/// not known.
///
/// # Errors
/// If the bytes are too few for a [`Head`], the kind is unknown, the length is not the kind's, or what is
/// said inside does not fit together.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let (head, _) = Head::read_from_prefix(bytes).map_err(|_| DecodeError::Short { len: bytes.len() })?;
    // What holds bytes of the target's stack is unwound or looked up, and becomes another event: it has no decoder.
    let decoder = DECODERS[usize::from(head.kind)].ok_or(DecodeError::UnknownKind { kind: head.kind })?;
    Ok(Event { at: fields::at(head), what: decoder(head, bytes)? })
}
