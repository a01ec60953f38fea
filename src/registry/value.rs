//! One value: expanded, typed, within its limits.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::expand::{Failure, expand};
use super::parse::{List, MAX_VALUE, Value};
use super::path::KeyPath;
use super::units;
use super::yaml::Location;
use crate::error::{Error, Result, Status};

/// Where the configuration comes from: what relative paths and variables refer to.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) base_dir: Option<&'a Path>,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
}

/// A section of the file: turns its values into types, with errors that name the key and its line.
pub(super) struct Section<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) path: KeyPath,
    /// The section's own line, for what is missing.
    pub(super) at: Location,
}

impl Section<'_> {
    /// `CONFIG` at a key; `what` continues "cache.ttl (line 4): ".
    pub(super) fn wrong(&self, key: &str, value: &Value, what: impl Display) -> Error {
        self.error(Status::Config, key, value, what)
    }

    /// `CONFIG` for the section as a whole.
    pub(super) fn wrong_here(&self, what: impl Display) -> Error {
        self.path.error(Status::Config, self.at, what)
    }

    /// `CONFIG` where a key is set that has no meaning; `because` says for what.
    pub(super) fn means_nothing(&self, key: &str, value: &Value, because: impl Display) -> Result<()> {
        match self.text(key, value)? {
            Some(_) => Err(self.wrong(key, value, format_args!("means nothing for {because}: remove it"))),
            None => Ok(()),
        }
    }

    /// Text; `None` where it is absent, null or "".
    pub(super) fn text(&self, key: &str, value: &Value) -> Result<Option<String>> {
        let text = self.raw(key, value)?;
        Ok(text.filter(|text| !text.is_empty()).map(Cow::into_owned))
    }

    /// A list of texts, none of them empty; `None` where it is absent.
    pub(super) fn texts(&self, key: &str, list: &List) -> Result<Option<Vec<(Value, String)>>> {
        let Some(list) = list else { return Ok(None) };
        let item = |(number, item): (usize, &_)| {
            let (key, value) = (format!("{key}[{number}]"), Some(Clone::clone(item)));
            let text = self.text(&key, &value)?;
            let text = text.ok_or_else(|| self.wrong(&key, &value, "is empty: remove it or fill it in"))?;
            Ok((value, text))
        };
        list.iter().enumerate().map(item).collect::<Result<Vec<_>>>().map(Some)
    }

    /// A path as absolute text: relative ones are relative to the file's folder.
    pub(super) fn file(&self, key: &str, value: &Value) -> Result<Option<String>> {
        self.text(key, value)?.map(|text| self.absolute(key, value, text)).transpose()
    }

    /// The path made absolute, now: a later change of the current folder must not change what is meant.
    pub(super) fn absolute(&self, key: &str, value: &Value, text: String) -> Result<String> {
        if Path::new(&text).is_absolute() {
            return Ok(text);
        }
        let path = self.origin.base_dir.map_or_else(|| text.as_str().into(), |base| base.join(&text));
        let path = std::path::absolute(path)
            .map_err(|e| self.wrong(key, value, format_args!("{e}; give an absolute path")))?;
        let not_text = |_| self.wrong(key, value, "its folder's name is not UTF-8: give an absolute path");
        path.into_os_string().into_string().map_err(not_text)
    }

    /// A duration; zero is allowed only if `range` begins there.
    pub(super) fn duration(
        &self,
        key: &str,
        value: &Value,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Result<Duration> {
        let Some(text) = self.raw(key, value)? else { return Ok(default) };
        let Some(duration) = units::duration(&text) else {
            return Err(self.wrong(
                key,
                value,
                "is not a duration: write a number and a unit, such as 500ms, 60s, 10m, 1h, 90d",
            ));
        };
        let shown = |limit: &Duration| humantime::format_duration(*limit).to_string();
        self.within(key, value, duration, &range, shown)
    }

    /// A number.
    pub(super) fn number<T>(
        &self,
        key: &str,
        value: &Value,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<T>
    where
        T: FromStr + PartialOrd + ToString,
    {
        let Some(text) = self.raw(key, value)? else { return Ok(default) };
        match text.parse::<T>() {
            Ok(number) => self.within(key, value, number, &range, T::to_string),
            Err(_) => {
                let (low, high) = (range.start().to_string(), range.end().to_string());
                Err(self.wrong(key, value, format_args!("is not a number from {low} to {high}")))
            }
        }
    }

    /// Bytes, with a unit.
    pub(super) fn size(&self, key: &str, value: &Value, default: u64) -> Result<u64> {
        let Some(text) = self.raw(key, value)? else { return Ok(default) };
        units::size(&text).ok_or_else(|| {
            self.wrong(key, value, "is not a size: write a number and a unit, such as 64KiB, 100MiB")
        })
    }

    /// Yes or no, in the spellings of YAML 1.1, which CyborgDB's reader takes too.
    pub(super) fn boolean(&self, key: &str, value: &Value, default: bool) -> Result<bool> {
        let Some(text) = self.raw(key, value)? else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(true),
            "false" | "no" | "off" => Ok(false),
            _ => Err(self.wrong(key, value, "must be true or false")),
        }
    }

    fn within<T: PartialOrd>(
        &self,
        key: &str,
        value: &Value,
        found: T,
        range: &RangeInclusive<T>,
        shown: impl Fn(&T) -> String,
    ) -> Result<T> {
        if range.contains(&found) {
            return Ok(found);
        }
        let (low, high) = (shown(range.start()), shown(range.end()));
        Err(self.wrong(key, value, format_args!("is out of range: from {low} to {high} is allowed")))
    }

    /// The value's text, expanded.
    fn raw<'v>(&self, key: &str, value: &'v Value) -> Result<Option<Cow<'v, str>>> {
        let Some(found) = value else { return Ok(None) };
        let text = expand(&found.text, MAX_VALUE, self.origin.env).map_err(|failure| match failure {
            Failure::Unset(name) => self.wrong(
                key,
                value,
                format_args!("the environment variable {name} is not set, or empty: set it, or write ${{{name}:-default}}"),
            ),
            Failure::TooLong => {
                self.wrong(key, value, format_args!("is longer than {MAX_VALUE} bytes once its variables are filled in"))
            }
        })?;
        if text.contains('\0') {
            return Err(self.wrong(key, value, "has a NUL character: remove it"));
        }
        Ok(Some(text))
    }

    fn error(&self, status: Status, key: &str, value: &Value, what: impl Display) -> Error {
        let at = value.as_ref().map_or(self.at, |value| value.at);
        self.path.join(key).error(status, at, what)
    }
}
