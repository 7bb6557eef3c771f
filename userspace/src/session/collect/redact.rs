//! `--redact`: hashes instead of values, before anyone else sees them.
//!
//! The hash is SHA-256 without a key: the same ID becomes the same hash in every service and recording, so
//! that they can still be joined, and whoever has an ID from a log can find it. It hides no ID that can be
//! guessed.

use ring::digest::{SHA256, digest};

use asyncscope_trace::event::{Event, Value, What};

/// Replaces all values in the event.
pub(super) fn redact(event: &mut Event) {
    if let What::Message(message) = &mut event.what {
        message.values.iter_mut().for_each(redact_value);
    }
}

/// A `traceparent` keeps its shape: its two ids are replaced one by one.
fn redact_value(value: &mut Value) {
    value.bytes = match trace_parts(&value.bytes) {
        Some((trace, parent)) => {
            let (version, flags) = (&value.bytes[..3], &value.bytes[52..]);
            [version, hash(trace, 32).as_bytes(), b"-", hash(parent, 16).as_bytes(), flags].concat()
        }
        None => hash(&value.bytes, 16).into_bytes(),
    };
    value.cut = false;
}

/// The ids of `00-<32 digits>-<16 digits>-<2 digits>`.
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
fn trace_parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_hex = |part: &[u8]| part.iter().all(u8::is_ascii_hexdigit);
    let dashes = bytes.len() == 55 && [2, 35, 52].iter().all(|&at| bytes[at] == b'-');
    let (trace, parent) = (bytes.get(3..35)?, bytes.get(36..52)?);
    let digits = is_hex(&bytes[..2]) && is_hex(trace) && is_hex(parent) && is_hex(bytes.get(53..55)?);
    (dashes && digits).then_some((trace, parent))
}

/// The first hexadecimal digits of the SHA-256.
fn hash(bytes: &[u8], digits: usize) -> String {
    let mut text: String = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        let mut value = Value { name: 0, bytes: value.as_bytes().to_vec(), cut: false };
        redact_value(&mut value);
        assert_eq!(String::from_utf8(value.bytes).unwrap(), expected);
    }

    /// The expected hashes are those of `sha256sum`.
    #[test]
    fn values_become_hashes_and_traces_keep_their_shape() {
        check("abc", "ba7816bf8f01cfea");
        check("", "e3b0c44298fc1c14");
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-398acaee65c4e533cea249865ab1cee5-3604009042f3d946-01",
        );
    }
}
