//! The names of objects, page by page, also past names that `object_store` can't take.

use std::collections::VecDeque;

use object_store::list::PaginatedListOptions;
use object_store::path::Error as PathError;

use crate::error::{Error, Result, fail};

/// So many names are asked for at once; more, the clouds don't give.
const PAGE: usize = 1000;
/// By so much a page is narrowed around a name that can't be taken, and widened again behind it.
const STEP: usize = 10;

/// One page: the names, and how to go on.
pub(super) struct Page {
    pub names: Vec<String>,
    pub next: Option<String>,
}

/// Why there is no page.
pub(super) enum NoPage {
    /// This name has a control character or a segment such as `..`, and nothing of its page is told.
    Untakable(String),
    Failed(Error),
}

/// Asks for one page.
pub(super) type Ask<'a> = dyn FnMut(PaginatedListOptions) -> std::result::Result<Page, NoPage> + 'a;

/// The object names under a prefix, in the order of the store.
pub(super) struct Pages<'a> {
    ask: &'a mut Ask<'a>,
    after: Option<String>,
    token: Option<String>,
    width: usize,
    waiting: VecDeque<String>,
    is_last: bool,
}

impl<'a> Pages<'a> {
    /// From behind `after`, as far as the cloud can start there.
    pub(super) fn new(ask: &'a mut Ask<'a>, after: Option<String>) -> Pages<'a> {
        Pages { ask, after, token: None, width: PAGE, waiting: VecDeque::new(), is_last: false }
    }

    /// The next name.
    pub(super) fn next(&mut self) -> Result<Option<String>> {
        while self.waiting.is_empty() && !self.is_last {
            self.turn()?;
        }
        Ok(self.waiting.pop_front())
    }

    fn turn(&mut self) -> Result<()> {
        let options = PaginatedListOptions {
            offset: self.after.clone(),
            page_token: self.token.clone(),
            max_keys: Some(self.width),
            ..PaginatedListOptions::default()
        };
        match (self.ask)(options) {
            Ok(page) => {
                self.waiting.extend(page.names);
                self.is_last = page.next.is_none();
                self.token = page.next;
                self.width = (self.width * STEP).min(PAGE);
                Ok(())
            }
            Err(NoPage::Untakable(_)) if self.width > 1 => {
                self.width /= STEP;
                Ok(())
            }
            Err(NoPage::Untakable(name)) if self.after.as_ref() != Some(&name) => {
                self.after = Some(name);
                self.token = None;
                Ok(())
            }
            // Not all clouds start behind a name.
            Err(NoPage::Untakable(name)) => Err(fail!(
                Storage,
                "the store has a foreign object {name:?}, behind which it can't be listed: move it away"
            )),
            Err(NoPage::Failed(error)) => Err(error),
        }
    }
}

/// The name that `object_store` can't take, if that is why it failed.
pub(super) fn untakable(error: &object_store::Error) -> Option<String> {
    match error {
        object_store::Error::InvalidPath {
            source: PathError::BadSegment { path, .. } | PathError::EmptySegment { path },
        } => Some(path.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cloud with these names, which gives at most `limit` at once.
    fn listed(names: &[&str], limit: usize, after: Option<&str>, starts_behind: bool) -> Result<Vec<String>> {
        let mut ask = |options: PaginatedListOptions| {
            let behind = options.page_token.clone().or(options.offset.filter(|_| starts_behind));
            let mut left: Vec<&str> =
                names.iter().copied().filter(|n| behind.as_deref() < Some(*n)).collect();
            left.sort_unstable();
            let width = options.max_keys.unwrap_or(PAGE).min(limit);
            let is_last = left.len() <= width;
            left.truncate(width);
            match left.iter().find(|name| name.contains('\u{1}')) {
                Some(name) => Err(NoPage::Untakable((*name).to_owned())),
                None => Ok(Page {
                    next: left.last().filter(|_| !is_last).map(|name| (*name).to_owned()),
                    names: left.into_iter().map(str::to_owned).collect(),
                }),
            }
        };
        let mut pages = Pages::new(&mut ask, after.map(str::to_owned));
        let mut all = Vec::new();
        while let Some(name) = pages.next()? {
            all.push(name);
        }
        Ok(all)
    }

    #[test]
    fn names_that_cannot_be_taken_are_passed_over() {
        let names = ["a", "b", "b\u{1}", "b\u{1}x", "c", "d\u{1}", "e", "f\u{1}"];
        for limit in [1, 2, 3, 1000] {
            assert_eq!(listed(&names, limit, None, true).unwrap().concat(), "abce", "by {limit}");
            assert_eq!(listed(&names, limit, Some("b"), true).unwrap().concat(), "ce", "by {limit}");
        }
        assert_eq!(listed(&["\u{1}"], 1000, None, true).unwrap().len(), 0);
        let many: Vec<String> = (0..3500).map(|number| format!("{number:05}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(listed(&many, 1000, None, true).unwrap(), many);
    }

    #[test]
    fn a_cloud_that_cannot_start_behind_a_name_says_which() {
        let error = listed(&["a", "b\u{1}", "c"], 1000, None, false).unwrap_err();
        assert!(error.message().contains("b\\u{1}"), "{error}");
    }
}
