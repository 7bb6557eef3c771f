//! Debug info made by hand, for tests and for the corpus of the fuzz target `layouts`.

use std::collections::HashMap;

/// The attributes that the entries of [`info`] consist of.
#[rustfmt::skip]
pub(crate) const ABBREVIATIONS: &[u8] = &[
    1, 0x11, 1, 0, 0, // compile_unit, children
    2, 0x39, 1, 0x03, 0x08, 0, 0, // namespace, children: name string
    3, 0x13, 1, 0x03, 0x08, 0x0b, 0x0b, 0, 0, // structure_type, children: name string, byte_size data1
    4, 0x0d, 0, 0x03, 0x08, 0x49, 0x13, 0x38, 0x0b, 0, 0, // member: name string, type ref4, location data1
    5, 0x33, 1, 0x15, 0x13, 0, 0, // variant_part, children: discr ref4
    6, 0x19, 1, 0x16, 0x0b, 0, 0, // variant, children: discr_value data1
    7, 0x2f, 0, 0x49, 0x13, 0, 0, // template_type_parameter: type ref4
    8, 0x2e, 1, 0x11, 0x01, 0x03, 0x08, 0, 0, // subprogram, children: low_pc addr, name string
    9, 0x24, 0, 0x03, 0x08, 0x0b, 0x0b, 0, 0, // base_type: name string, byte_size data1
    0,
];

/// A unit of DWARF 4 that is being written; entries refer to each other by label.
#[derive(Default)]
struct Info {
    bytes: Vec<u8>,
    labels: HashMap<&'static str, u32>,
    references: Vec<(usize, &'static str)>,
}

impl Info {
    fn entry(&mut self, label: &'static str, abbreviation: u8) -> &mut Self {
        self.labels.insert(label, self.bytes.len() as u32);
        self.bytes.push(abbreviation);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes.extend(text.bytes().chain([0]));
        self
    }

    fn byte(&mut self, byte: u8) -> &mut Self {
        self.bytes.push(byte);
        self
    }

    fn to(&mut self, label: &'static str) -> &mut Self {
        self.references.push((self.bytes.len(), label));
        self.bytes.extend([0; 4]);
        self
    }

    fn end(&mut self) -> &mut Self {
        self.byte(0)
    }

    fn member(&mut self, label: &'static str, name: &str, ty: &'static str, at: u8) -> &mut Self {
        self.entry(label, 4).text(name).to(ty).byte(at)
    }

    fn finish(mut self) -> Vec<u8> {
        for (at, label) in self.references {
            self.bytes[at..at + 4].copy_from_slice(&self.labels[label].to_le_bytes());
        }
        let len = self.bytes.len() as u32 - 4;
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
        self.bytes
    }
}

/// `svc::f`, which awaits a `oneshot::Receiver` in its state 3, as the future of a task.
pub(crate) fn info() -> Vec<u8> {
    let mut info = Info { bytes: vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8], ..Info::default() };
    info.entry("", 1);
    info.entry("u8", 9).text("u8").byte(1);
    info.entry("", 2).text("svc").entry("", 2).text("f");
    info.entry("env", 3).text("{async_fn_env#0}").byte(16);
    info.entry("", 5).to("state").member("state", "__state", "u8", 8);
    info.entry("", 6).byte(0).member("", "0", "unresumed", 0).end();
    info.entry("", 6).byte(3).member("", "3", "suspend", 0).end();
    info.end();
    info.entry("unresumed", 3).text("Unresumed").byte(16).end();
    info.entry("suspend", 3).text("Suspend0").byte(16).member("", "__awaitee", "receiver", 0).end();
    info.end().end().end();
    info.entry("", 2).text("tokio").entry("", 2).text("sync").entry("", 2).text("oneshot");
    info.entry("receiver", 3).text("Receiver<u8>").byte(8).end();
    info.end().end();
    info.entry("", 2).text("runtime").entry("", 2).text("task").entry("", 2).text("core");
    info.entry("", 3).text("Cell<svc::f::{async_fn_env#0}, S>").byte(64);
    info.entry("", 7).to("env").member("", "core", "core", 32).end();
    info.entry("core", 3).text("Core<svc::f::{async_fn_env#0}, S>").byte(32).member("", "stage", "env", 8).end();
    info.end();
    info.entry("", 8);
    info.bytes.extend(0x1000_u64.to_le_bytes());
    info.text("poll<svc::f::{async_fn_env#0}, S>").entry("", 7).to("env").end();
    info.end().end().end().end();
    info.finish()
}
