//! Correlation IDs: what an allow-listed header's value says about the request it belongs to.
//!
//! Values are bytes that anyone may have sent. They are compared and never interpreted, but for the two
//! formats of trace contexts, which are checked to the letter before a trace id is believed.

use asyncscope_trace::event::Value;

/// The format of a header's values, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// W3C trace context: <https://www.w3.org/TR/trace-context-1/#traceparent-header>
    Traceparent,
    /// B3 in one header: <https://github.com/openzipkin/b3-propagation#single-header>
    B3,
    /// The value as a whole.
    Plain,
}

impl Format {
    /// The format of the header with this name in lower case.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "traceparent" => Self::Traceparent,
            "b3" => Self::B3,
            _ => Self::Plain,
        }
    }
}

/// The IDs that a message bears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// The values, in the message's order.
    pub values: Vec<Id>,
    /// The trace that the first valid one of them names.
    pub trace: Option<Trace>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// The header: its place in [`asyncscope_trace::facts::Facts::correlation_headers`].
    pub header: u8,
    /// Its format, by the header's name.
    pub format: Format,
    /// The value as it came. Escape it before you show it.
    pub value: Box<[u8]>,
    /// `true` if it was longer. Such a value is equal to none.
    pub cut: bool,
}

/// A trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    /// The trace; not 0.
    pub trace_id: [u8; 16],
    /// The span at the sender; not 0.
    pub span_id: [u8; 8],
    /// `true` if the sender asks to record it; `None` where it left that open.
    pub sampled: Option<bool>,
}

/// A value that makes two messages parts of one whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Trace([u8; 16]),
    Value(Box<[u8]>),
}

impl Ids {
    pub(crate) fn of(values: &[Value], formats: &[Format]) -> Self {
        let values: Vec<Id> = values.iter().map(|value| id(value, formats)).filter(|id| !id.value.is_empty()).collect();
        let trace = values.iter().find_map(Id::trace);
        Self { values, trace }
    }

    /// Returns `true` if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The one to show: the first value that is no trace context, else the first.
    #[must_use]
    pub fn shown(&self) -> Option<&Id> {
        self.values.iter().find(|id| id.format == Format::Plain).or(self.values.first())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        let plain = self.values.iter().filter(|id| id.format == Format::Plain && !id.cut);
        let trace = self.trace.map(|trace| Key::Trace(trace.trace_id));
        plain.map(|id| Key::Value(id.value.clone())).chain(trace)
    }
}

fn id(value: &Value, formats: &[Format]) -> Id {
    let format = formats.get(usize::from(value.name)).copied().unwrap_or(Format::Plain);
    Id { header: value.name, format, value: value.bytes.as_slice().into(), cut: value.cut }
}

impl Id {
    /// The trace context in it, if it is a valid one.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        match self.format {
            _ if self.cut => None,
            Format::Traceparent => traceparent(&self.value),
            Format::B3 => b3(&self.value),
            Format::Plain => None,
        }
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case. A later version may go on after another `-`; version `ff`
/// is none.
fn traceparent(value: &[u8]) -> Option<Trace> {
    const LENGTH: usize = 55;
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let mut parts = known.split(|&byte| byte == b'-');
    let [version] = hex::<1>(parts.next()?)?;
    let trace_id = hex::<16>(parts.next()?)?;
    let span_id = hex::<8>(parts.next()?)?;
    let [flags] = hex::<1>(parts.next()?)?;
    let ends = rest.is_empty() || (version != 0 && rest.starts_with(b"-"));
    let valid = parts.next().is_none() && ends && version != 0xff;
    valid.then_some(())?;
    not_zero(Trace { trace_id, span_id, sampled: Some(flags & 1 != 0) })
}

/// `<32 or 16 hex>-<16 hex>`, then perhaps `-<0, 1 or d>`, then perhaps `-<16 hex>`.
fn b3(value: &[u8]) -> Option<Trace> {
    let mut parts = value.split(|&byte| byte == b'-');
    let trace = parts.next()?;
    let trace_id = hex::<16>(trace).or_else(|| hex::<8>(trace).map(widened))?;
    let span_id = hex::<8>(parts.next()?)?;
    let sampled = match parts.next() {
        None => None,
        Some(b"0") => Some(false),
        Some(b"1" | b"d") => Some(true),
        Some(_) => return None,
    };
    if let Some(parent) = parts.next() {
        hex::<8>(parent)?;
    }
    if parts.next().is_some() { None } else { not_zero(Trace { trace_id, span_id, sampled }) }
}

fn widened(short: [u8; 8]) -> [u8; 16] {
    u128::from(u64::from_be_bytes(short)).to_be_bytes()
}

fn not_zero(trace: Trace) -> Option<Trace> {
    (trace.trace_id != [0; 16] && trace.span_id != [0; 8]).then_some(trace)
}

/// Exactly `N` bytes in lower-case hexadecimal.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: u8, bytes: &str) -> Value {
        Value { name, bytes: bytes.into(), cut: false }
    }

    fn trace(format: Format, text: &str) -> Option<String> {
        let ids = Ids::of(&[value(0, text)], &[format]);
        let trace = ids.trace?;
        Some(format!("{:032x} {:016x}", u128::from_be_bytes(trace.trace_id), u64::from_be_bytes(trace.span_id)))
    }

    #[test]
    fn traceparents_are_checked_to_the_letter() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = Some("0af7651916cd43dd8448eb211c80319c b7ad6b7169203331".to_owned());
        assert_eq!(trace(Format::Traceparent, good), read);
        assert_eq!(trace(Format::Traceparent, &good.replacen("00", "cc", 1)), read);
        assert_eq!(trace(Format::Traceparent, &format!("{}-more", good.replacen("00", "01", 1))), read);
        let bad = [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0-",
            "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
            "00 0af7651916cd43dd8448eb211c80319c b7ad6b7169203331 01",
        ];
        bad.iter().for_each(|text| assert_eq!(trace(Format::Traceparent, text), None, "{text}"));
    }

    #[test]
    fn b3_in_one_header() {
        let long = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1";
        let read = Some("80f198ee56343ba864fe8b2a57d3eff7 e457b5a2e4d86bd1".to_owned());
        for rest in ["", "-1", "-0", "-d", "-1-05e3ac9a4f6e3b90"] {
            assert_eq!(trace(Format::B3, &format!("{long}{rest}")), read, "{rest}");
        }
        let short = Some("0000000000000000e457b5a2e4d86bd1 05e3ac9a4f6e3b90".to_owned());
        assert_eq!(trace(Format::B3, "e457b5a2e4d86bd1-05e3ac9a4f6e3b90"), short);
        for bad in [
            "0",
            "1",
            "",
            "-",
            "80f198ee56343ba8-",
            &format!("{long}-2"),
            &format!("{long}-1-5"),
            &format!("{long}-1-05e3ac9a4f6e3b90-"),
        ] {
            assert_eq!(trace(Format::B3, bad), None, "{bad}");
        }
    }

    #[test]
    fn the_id_to_show_is_a_plain_one() {
        let formats = [Format::Traceparent, Format::Plain];
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let both = Ids::of(&[value(0, parent), value(1, "a-1")], &formats);
        assert_eq!(both.shown().map(|id| &*id.value), Some(&b"a-1"[..]));
        assert_eq!(both.keys().count(), 2);
        assert_eq!(Ids::of(&[value(0, "nonsense")], &formats).keys().count(), 0);
        assert_eq!(Ids::of(&[value(9, "x")], &[]).keys().count(), 1);
        assert!(Ids::of(&[value(1, "")], &formats).is_empty());
        let cut = Value { name: 1, bytes: b"long".into(), cut: true };
        assert_eq!(Ids::of(&[cut], &formats).keys().count(), 0);
    }
}
