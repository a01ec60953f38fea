//! A YAML or JSON document as a tree whose nodes know their lines. What each key takes is not known here.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::path::shorten;
use crate::error::{Error, Result, fail};

/// How deep lists and sections may stand in each other: far more than any key needs, and no danger for the stack.
const MAX_DEPTH: usize = 32;
/// How many nodes aliases may repeat: generous for a thousand slots, too few to multiply into gigabytes.
const MAX_REPEATED: usize = 20_000;
/// What both are told by.
const TOO_MUCH: &str = "too large, too deep, or aliases that multiply: write it plainly";

/// A place in the document, its line and column counted from 1; line 0 is no place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Location {
    pub(super) line: usize,
    column: usize,
}

impl Location {
    /// `CONFIG` for what is wrong here with the document itself.
    pub(super) fn error(self, what: impl std::fmt::Display) -> Error {
        fail!(Config, "line {}, column {}: {what}", self.line, self.column)
    }
}

/// A value. What it holds is shared with the aliases of it.
#[derive(Clone)]
pub(super) struct Node {
    /// Where it stands; what an alias brings in stands where the alias does.
    pub(super) at: Location,
    pub(super) content: Content,
    /// How many nodes it is with all that it holds.
    size: usize,
}

#[derive(Clone)]
pub(super) enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// A text, a truth value, a number with a fraction: as it is written.
    Text(Rc<str>),
    /// An integer, as it is written. YAML tells the key 7 from the key "7".
    Integer(Rc<str>),
    List(Rc<[Node]>),
    Section(Rc<[(Node, Node)]>),
    /// What a tag such as `!!binary` makes of a value: nothing that a key of ours takes.
    Foreign,
}

/// The document's root; `None` where there is no document.
pub(super) fn parse(text: &str) -> Result<Option<Node>> {
    let mut reader =
        Reader { events: Parser::new_from_str(text), anchors: HashMap::new(), repeated: 0, depth: 0 };
    loop {
        match reader.next()?.0 {
            Event::StreamEnd => return Ok(None),
            Event::DocumentStart(..) => break,
            _ => {}
        }
    }
    let root = reader.node()?;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(Some(root)),
            (Event::DocumentStart(..), span) => {
                return Err(start(&span).error("a second document begins: one is allowed"));
            }
            _ => {}
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    repeated: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        let event = self.events.next_event();
        event
            .ok_or_else(|| fail!(Config, "not valid YAML: it ends too early"))?
            .map_err(|error| explain(&error))
    }

    fn node(&mut self) -> Result<Node> {
        let (event, span) = self.next()?;
        self.begun(event, start(&span))
    }

    /// The node that begins with this event.
    fn begun(&mut self, event: Event<'a>, at: Location) -> Result<Node> {
        let anchor = event.anchor_id();
        let (content, inside) = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, _, tag) => (scalar(&text, style, tag.as_deref()), 0),
            Event::SequenceStart(_, _, tag) => self.list(at, tag)?,
            Event::MappingStart(_, _, tag) => self.section(at, tag)?,
            // The parser gives nothing else where a node stands.
            _ => return Err(at.error("not valid YAML: a value is missing")),
        };
        let node = Node { at, content, size: 1 + inside };
        // Only now: within itself there is nothing yet that an alias could stand for.
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, at: Location) -> Result<Node> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(at.error("an alias within its own anchor: write it plainly"));
        };
        self.repeated += node.size;
        if self.repeated > MAX_REPEATED {
            return Err(at.error(TOO_MUCH));
        }
        Ok(Node { at, ..node.clone() })
    }

    fn list(&mut self, at: Location, tag: Option<Cow<'_, Tag>>) -> Result<(Content, usize)> {
        self.deeper(at)?;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => break,
                (event, span) => items.push(self.begun(event, start(&span))?),
            }
        }
        self.depth -= 1;
        let size = items.iter().map(|item: &Node| item.size).sum();
        let content = if is(tag.as_deref(), "seq") { Content::List(items.into()) } else { Content::Foreign };
        Ok((content, size))
    }

    fn section(&mut self, at: Location, tag: Option<Cow<'_, Tag>>) -> Result<(Content, usize)> {
        self.deeper(at)?;
        let mut entries = Entries::default();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let merges = is_merge(&event);
            let key = self.begun(event, start(&span))?;
            let value = self.node()?;
            if merges { entries.merge(&value)? } else { entries.add(key, value)? }
        }
        self.depth -= 1;
        let (entries, size) = entries.finish();
        let content = if is(tag.as_deref(), "map") { Content::Section(entries) } else { Content::Foreign };
        Ok((content, size))
    }

    fn deeper(&mut self, at: Location) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(at.error(TOO_MUCH)) } else { Ok(()) }
    }
}

/// A section's keys and values while it is read.
#[derive(Default)]
struct Entries {
    own: Vec<(Node, Node)>,
    /// Brought in by `<<`.
    merged: Vec<(Node, Node)>,
    /// The keys so far, integers apart from texts.
    seen: HashSet<(bool, Rc<str>)>,
    size: usize,
}

impl Entries {
    fn add(&mut self, key: Node, value: Node) -> Result<()> {
        if !self.is_new(&key) {
            let (Content::Text(name) | Content::Integer(name)) = &key.content else { return Ok(()) };
            return Err(key
                .at
                .error(format_args!("the key {:?} stands here twice: remove one", shorten(name))));
        }
        self.size += key.size + value.size;
        self.own.push((key, value));
        Ok(())
    }

    /// Notes a key down; keys that are lists or sections are not compared, since no section of ours has such.
    fn is_new(&mut self, key: &Node) -> bool {
        match &key.content {
            Content::Text(name) => self.seen.insert((false, name.clone())),
            Content::Integer(name) => self.seen.insert((true, name.clone())),
            _ => true,
        }
    }

    fn merge(&mut self, value: &Node) -> Result<()> {
        match &value.content {
            Content::Null => {}
            Content::Section(entries) => {
                self.size += value.size;
                // They stand where `<<` brings them in, for messages.
                let here =
                    |(key, found): &(Node, Node)| (key.clone(), Node { at: value.at, ..found.clone() });
                self.merged.extend(entries.iter().map(here));
            }
            Content::List(sections) => sections.iter().try_for_each(|section| self.merge(section))?,
            _ => {
                return Err(value
                    .at
                    .error("the wrong kind of value: << takes keys with values, or a list of such"));
            }
        }
        Ok(())
    }

    /// All of them, with their size. A section's own keys win, then what was merged first.
    fn finish(mut self) -> (Rc<[(Node, Node)]>, usize) {
        for (key, value) in std::mem::take(&mut self.merged) {
            if self.is_new(&key) {
                self.own.push((key, value));
            }
        }
        (self.own.into(), self.size)
    }
}

/// A scalar without a tag, or with one of somebody's own, is what it looks like.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Content {
    let plain = style == ScalarStyle::Plain;
    match tag.and_then(yaml_type).as_deref() {
        Some("null") => Content::Null,
        Some("str" | "merge") => Content::Text(text.into()),
        Some(_) => Content::Foreign,
        None if tag.is_some_and(|tag| tag.parts() == ("!", "")) => Content::Text(text.into()),
        None if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") => Content::Null,
        None if plain && text.parse::<i128>().is_ok() => Content::Integer(text.into()),
        None => Content::Text(text.into()),
    }
}

/// Which of YAML's own types a tag names: `int` for `!!int`.
fn yaml_type(tag: &Tag) -> Option<Cow<'_, str>> {
    tag.suffix_in_namespace("tag:yaml.org,2002:")
}

/// Whether a list or section with this tag is still that; `own` is what its tag would be.
fn is(tag: Option<&Tag>, own: &str) -> bool {
    tag.and_then(Tag::core_suffix).is_none_or(|named| named == own)
}

fn is_merge(event: &Event<'_>) -> bool {
    let Event::Scalar(text, style, _, tag) = event else { return false };
    text == "<<"
        && match tag {
            None => *style == ScalarStyle::Plain,
            Some(tag) => yaml_type(tag).as_deref() == Some("merge"),
        }
}

fn start(span: &Span) -> Location {
    Location { line: span.start.line(), column: span.start.col() + 1 }
}

/// The parser's error in our words. None of its own has a part of the document but a single character.
fn explain(error: &ScanError) -> Error {
    let at = Location { line: error.marker().line(), column: error.marker().col() + 1 };
    match error.kind() {
        ErrorKind::UnknownAnchor => at.error("an alias without its anchor"),
        ErrorKind::RecursionLimitExceeded => at.error(TOO_MUCH),
        kind => at.error(format_args!("not valid YAML: {kind}")),
    }
}
