//! The main figures, as the README quotes them.

use super::rounds::{Measured, Whose};
use super::service::Service;
use super::table::over_nothing;
use super::variant::Variant;

/// A table of a few lines.
pub(super) fn quoted(measured: &Measured) -> String {
    const SERVICES: [Service; 4] = Service::ALL;
    const VARIANTS: [Variant; 7] = Variant::ALL;
    let mut text = String::from("| the target's CPU time, × that with nothing attached |");
    SERVICES.iter().for_each(|service| text += &format!(" {} |", service.title()));
    text += &format!("\n| --- |{}\n", " --- |".repeat(SERVICES.len()));
    for variant in VARIANTS {
        text += &format!("| {} |", variant.title());
        for service in SERVICES {
            let pairs = measured.get(&(Whose::Target(service), variant)).map_or(&[][..], Vec::as_slice);
            text += &format!(" {:.2} |", over_nothing(pairs).median);
        }
        text.push('\n');
    }
    text
}
