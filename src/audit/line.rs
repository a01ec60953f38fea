//! One line of the log: an event, its number, and the hash of the line before.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event::Event;
use crate::crypto::derive::{constant_time_eq, hmac_sha256};
use crate::crypto::secret::SecretKey;

/// No line is longer, in bytes: six texts of 2 KiB, each byte written as six.
pub(super) const MAX_LINE: usize = 128 << 10;

/// No log gets so far; from a line that says so nobody must count on.
const MAX_SEQ: u64 = u64::MAX / 2;

/// What stands between the line proper and its MAC, and behind that.
const MAC: &[u8] = br#","mac":""#;
const MAC_END: &[u8] = br#""}"#;
const MAC_LEN: usize = 44;

pub(super) type Hash = [u8; 32];

/// The end of a chain: the number and the hash of its last line; 0 and zeros before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tip {
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

/// What a crash left of lines, without a newline behind it: it was closed, and stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Torn {
    pub(super) bytes: u64,
    /// Base64 of SHA-256.
    pub(super) hash: String,
}

impl Torn {
    pub(super) fn of(bytes: &[u8]) -> Torn {
        Torn { bytes: bytes.len() as u64, hash: encode(&sha256(bytes)) }
    }
}

#[derive(Serialize)]
struct Numbered<'a> {
    seq: u64,
    #[serde(flatten)]
    event: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    torn: Option<&'a Torn>,
    prev: String,
}

/// The line behind `tip`, without its newline.
pub(super) fn write(tip: &Tip, event: &Event, torn: Option<&Torn>, key: Option<&SecretKey>) -> String {
    let line = Numbered { seq: tip.seq + 1, event, torn, prev: encode(&tip.hash) };
    let mut text = to_json(&line);
    if let Some(key) = key {
        let mac = encode(&hmac_sha256(key.expose(), &[text.as_bytes()]));
        text.pop();
        text = format!(r#"{text},"mac":"{mac}"}}"#);
    }
    text
}

/// JSON of what has only numbers, texts and keys of ours, so that it can't fail.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What a line says of the chain; whatever else it has is covered by its hash.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    pub(super) seq: u64,
    operation: String,
    prev: String,
    pub(super) torn: Option<Torn>,
}

impl Link {
    /// `None` for what is no line of ours.
    pub(super) fn read(line: &[u8]) -> Option<Link> {
        let link: Link = serde_json::from_slice(line).ok().filter(|_| line.len() <= MAX_LINE)?;
        (decode(&link.prev).is_some() && (1..=MAX_SEQ).contains(&link.seq)).then_some(link)
    }

    /// The hash of the line before, as this one says.
    pub(super) fn prev(&self) -> Hash {
        decode(&self.prev).unwrap_or_default()
    }

    /// Whether it closes what a crash left.
    pub(super) fn is_recovery(&self) -> bool {
        self.operation == "recovered"
    }
}

impl Tip {
    /// Where the chain stands behind this line; `None` for what is no line of ours.
    pub(super) fn of(line: &[u8]) -> Option<Tip> {
        Link::read(line).map(|link| Tip { seq: link.seq, hash: sha256(line) })
    }
}

/// Whether a line's MAC is right; `None` where it has none.
pub(super) fn check_mac(line: &[u8], key: &SecretKey) -> Option<bool> {
    let end = line.len().checked_sub(MAC_LEN + MAC_END.len())?;
    let proper = line.get(..end)?.strip_suffix(MAC)?;
    let mac = std::str::from_utf8(line[end..].strip_suffix(MAC_END)?).ok().and_then(decode)?;
    Some(constant_time_eq(&mac, &hmac_sha256(key.expose(), &[proper, b"}"])))
}

pub(super) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

pub(super) fn encode(hash: &Hash) -> String {
    Base64::encode_string(hash)
}

pub(super) fn decode(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    let len = Base64::decode(text, &mut hash).ok()?.len();
    (len == hash.len()).then_some(hash)
}
