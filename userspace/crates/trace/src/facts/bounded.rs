//! Lists of a stated length at most: a few bytes of JSON can stand for a hundred in memory.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

/// Reads a list of at most `MAX` elements.
///
/// # Errors
///
/// A longer one, and what the deserializer finds wrong.
pub fn bounded<'de, const MAX: usize, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(List::<MAX, T>(PhantomData))
}

struct List<const MAX: usize, T>(PhantomData<T>);

impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for List<MAX, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use crate::facts::{FOLDED_MAX, Facts, TYPES_MAX};

    #[test]
    fn long_lists_are_refused() {
        let list = |element: &str, count: usize| vec![element; count].join(",");
        let check = |json: String, fits: bool| {
            let read = serde_json::from_str::<Facts>(&json);
            assert_eq!(read.is_ok(), fits, "{:?}", read.err());
        };
        check(format!("{{\"types\":[{}]}}", list("{}", TYPES_MAX)), true);
        check(format!("{{\"types\":[{}]}}", list("{}", TYPES_MAX + 1)), false);
        check(format!("{{\"types\":[{{\"folded\":[{}]}}]}}", list("\"\"", FOLDED_MAX)), true);
        check(format!("{{\"types\":[{{\"folded\":[{}]}}]}}", list("\"\"", FOLDED_MAX + 1)), false);
    }
}
