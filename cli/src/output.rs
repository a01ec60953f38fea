//! What goes to standard output: for a person, or one line of JSON.

use std::borrow::Cow;
use std::io::{BufWriter, StdoutLock, Write};

use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};

/// A buffered standard output.
pub type Out = BufWriter<StdoutLock<'static>>;

/// Standard output; flush it by [`end`], which tells what could not be written.
pub fn out() -> Out {
    BufWriter::new(std::io::stdout().lock())
}

/// Writes what is left.
pub fn end(mut out: Out) -> Outcome {
    out.flush().map_err(|error| Failure::of_output(&error))
}

/// Bytes as they are.
pub fn write(bytes: &[u8]) -> Outcome {
    let mut out = out();
    out.write_all(bytes).map_err(|error| Failure::of_output(&error))?;
    end(out)
}

/// The result of a command.
pub fn show(as_json: bool, json: &Value, text: &str) -> Outcome {
    if as_json { write(format!("{json}\n").as_bytes()) } else { write(text.as_bytes()) }
}

/// What was done to an index, and what it is now (`None`: that could not be read).
pub fn done(as_json: bool, index: &str, operation: &str, what: &str, now: Option<&Value>) -> Outcome {
    let json = json!({"index": index, "done": operation, "now": now});
    let now = now.map_or_else(String::new, |now| {
        let field = |name: &str| field(now, name);
        let deletion = match now["deletion_at"].as_str() {
            Some(time) => format!(" at {time}"),
            None => String::new(),
        };
        format!(
            " ({}{deletion}, version {}, epoch {}, data key {})",
            field("state"),
            field("version"),
            field("epoch"),
            field("current_data_key")
        )
    });
    show(as_json, &json, &format!("{}: {what}{now}\n", plain(index)))
}

/// A field of an object, for a person; `-` where it has none.
pub fn field(object: &Value, name: &str) -> String {
    match &object[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => plain(text).into_owned(),
        other => plain(&other.to_string()).into_owned(),
    }
}

/// A text in which nothing can move a terminal's cursor.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape =
        |c: char| -> String { if c.is_control() { c.escape_debug().collect() } else { c.to_string() } };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Lines of cells below each other.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_moves_the_cursor() {
        assert_eq!(plain("orders ü \"a\""), "orders ü \"a\"");
        assert_eq!(plain("a\x1b[2Jb\n\u{9b}"), "a\\u{1b}[2Jb\\n\\u{9b}");
        assert_eq!(field(&json!({"a": "x\ny"}), "a"), "x\\ny");
    }

    #[test]
    fn cells_stand_below_each_other() {
        let rows = [vec!["SLOT".to_owned(), "KEY".to_owned()], vec!["ü".to_owned(), String::new()]];
        assert_eq!(table(&rows), "SLOT  KEY\nü\n");
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let object = json!({"null": null, "empty": "", "number": 3});
        assert_eq!(
            ["null", "empty", "number", "none"].map(|name| field(&object, name)),
            ["-", "-", "3", "-"]
        );
    }
}
