//! `${VAR}` and `${VAR:-default}` in a value.

use std::borrow::Cow;

/// Why a value could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure<'a> {
    /// The variable is unset or empty, and there is no default.
    Unset(&'a str),
    /// The result is longer than allowed.
    TooLong,
}

/// Replaces each reference once: what a variable holds is not expanded again. What is not exactly a
/// reference (`${lower}`, `$VAR`, an open brace) stays as it is, as CyborgDB leaves it.
pub(super) fn expand<'a>(
    text: &'a str,
    limit: usize,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'a, str>, Failure<'a>> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        match reference(after) {
            Some(found) => {
                match (env(found.name).filter(|value| !value.is_empty()), found.default) {
                    (Some(value), _) => out.push_str(&value),
                    (None, Some(default)) => out.push_str(default),
                    (None, None) => return Err(Failure::Unset(found.name)),
                }
                rest = found.rest;
            }
            None => {
                out.push_str("${");
                rest = &after[2..];
            }
        }
        if out.len() > limit {
            return Err(Failure::TooLong);
        }
    }
    out.push_str(rest);
    if out.len() > limit { Err(Failure::TooLong) } else { Ok(Cow::Owned(out)) }
}

struct Reference<'a> {
    name: &'a str,
    default: Option<&'a str>,
    rest: &'a str,
}

/// The reference that `text` begins with, if it does.
fn reference(text: &str) -> Option<Reference<'_>> {
    let (inside, rest) = text.strip_prefix("${")?.split_once('}')?;
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    is_name.then_some(Reference { name, default, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".into()),
            "_B2" => Some("${A}".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced_once() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("${A}", "one"),
            ("x${A}y${A}z", "xoneyonez"),
            ("${_B2}", "${A}"),
            ("${NO:-two}", "two"),
            ("${NO:-}", ""),
            ("${A:-two}", "one"),
            ("${EMPTY:-two}", "two"),
            ("${NO:-a:-${b}c", "a:-${bc"),
        ] {
            assert_eq!(expand(text, 100, &env).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_stays() {
        for text in ["${lower}", "$A", "${A", "${}", "${1A}", "${A-x}", "$${", "${ A}", "ü${ü}"] {
            assert_eq!(expand(text, 100, &env).as_deref(), Ok(text));
        }
        assert_eq!(expand("$${A}", 100, &env).as_deref(), Ok("$one"));
    }

    #[test]
    fn unset_and_too_long_fail() {
        assert_eq!(expand("x${NO}", 100, &env), Err(Failure::Unset("NO")));
        assert_eq!(expand("${EMPTY}", 100, &env), Err(Failure::Unset("EMPTY")));
        assert_eq!(expand("${A}${A}", 5, &env), Err(Failure::TooLong));
        assert_eq!(expand("${A}123", 5, &env), Err(Failure::TooLong));
    }
}
