//! Names of futures.

use super::{dies::DieOffset, scan::Index};
use crate::names::{self, dwarf::said};

/// Returns `true` if the type is the body of an `async fn`, block or closure.
pub(super) fn is_body(name: &str) -> bool {
    name.starts_with("{async_") && name.contains("_env#")
}

/// An `async` body's name as the source has it: with the type of a method, which debug info only numbers.
pub(super) fn body(index: &Index<'_>, at: DieOffset, name: &str) -> String {
    let by_debug_info = said(&index.path(at, name));
    let pretty = names::future(&by_debug_info).0;
    let Some(symbol) = index.body(at, name).filter(|_| pretty.contains("{impl#")) else { return pretty };
    // Both name the method first, and then what is inside it.
    let method = symbol.split("::{{closure}}").next().unwrap_or(&symbol);
    let method = method.split("::{closure#").next().unwrap_or(method);
    let inside = pretty.find("::{impl#").and_then(|start| {
        let after = &pretty[start + 2..];
        let (_, path) = after.split_once("::")?;
        path.find("::{").map(|inner| path[inner..].to_owned())
    });
    format!("{}{}", names::inherent(method), inside.unwrap_or_default())
}

/// A type's name with its generic arguments, as a person would say it.
pub(super) fn future(path: &str) -> String {
    names::future(&said(path)).0
}

/// A type's name without any paths: `Read<TcpStream>`.
pub(super) fn short(path: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in future(path).chars() {
        if c.is_alphanumeric() || matches!(c, '_' | ':' | '#' | '{' | '}') {
            word.push(c);
        } else {
            out.push_str(last_part(&word));
            out.push(c);
            word.clear();
        }
    }
    out.push_str(last_part(&word));
    out
}

fn last_part(path: &str) -> &str {
    let inside = path.find("::{").unwrap_or(path.len());
    let (head, _) = path.split_at(inside);
    let start = head.rfind("::").map_or(0, |at| at + 2);
    path.get(start..).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens() {
        let check = |path: &str, expected: &str| assert_eq!(short(path), expected, "{path}");
        check("tokio::io::util::read::Read<tokio::net::tcp::stream::TcpStream>", "Read<TcpStream>");
        check("svc::Wait", "Wait");
        check("Wait", "Wait");
        check("svc::é::W<(a::B, c::D)>", "W<(B, D)>");
    }
}
