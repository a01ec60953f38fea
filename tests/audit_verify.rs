//! A log that someone meddled with: cut, edited, reordered at every line and every byte.

mod audit_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use audit_support::*;
use cyborg_kms::audit::{FaultKind, Head, head, verify};
use cyborg_kms::error::Status;
use proptest::prelude::*;

const LINES: usize = 7;
const NAMES: [&str; LINES] = ["a", "b", "c", "a", "ü", "with \"quotes\" and \n", "g"];

/// A log of seven lines, its lines, its head.
fn log(has_key: bool) -> (tempfile::TempDir, Log, Vec<String>, Head) {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), has_key);
    log.write(&NAMES);
    let lines: Vec<String> = log.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), LINES);
    let head = log.head();
    (folder, log, lines, head)
}

fn put(log: &Log, lines: &[String]) {
    fs::write(&log.path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[test]
fn what_was_written_is_right() {
    for has_key in [false, true] {
        let (_folder, log, lines, head) = log(has_key);
        let report = log.verify(Some(&head)).unwrap();
        assert_eq!((report.lines, report.seq, report.files, report.recovered), (7, 7, 1, 0));
        assert_eq!((report.macs_checked, report.head_checked, &report.fault), (has_key, true, &None));
        assert_eq!((report.seq, &report.hash), (head.seq, &head.hash));
        assert_eq!(log.all("seq"), ["1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!(log.all("index"), NAMES);
        assert_eq!(log.all("principal"), ["tester"; LINES]);
        assert_eq!(log.all("outcome"), ["OK"; LINES]);
        assert_eq!(lines.iter().all(|line| line.contains("\"mac\":\"")), has_key);
        let mode = fs::metadata(&log.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        // Every prefix of lines is a log of its own, and an older head is a head of it.
        for count in 1..=LINES {
            put(&log, &lines[..count]);
            assert_eq!(log.assert_right().lines, count as u64);
        }
    }
}

#[test]
fn a_key_is_held_against_every_line() {
    let (_folder, mut log, lines, _) = log(true);
    log.has_key = false;
    assert!(!log.assert_right().macs_checked, "without the key the chain alone");
    let wrong = key().arena().key_from(&[1; 32]).unwrap();
    let fault = verify(&log.path, Some(&wrong), None).unwrap().fault.unwrap();
    assert_fault(&fault, FaultKind::Mac, 1, "another key");
    assert!(fault.message.contains("another key"), "{fault:?}");

    // Made anew without a key by someone who hasn't it: whole, and yet a lie.
    fs::remove_file(&log.path).unwrap();
    log.write(&NAMES);
    log.assert_right();
    log.has_key = true;
    assert_fault(&log.fault(None), FaultKind::Mac, 7, "no MAC at all");
    // Only its end.
    put(&log, &lines[..4]);
    log.has_key = false;
    log.write(&["forged"]);
    log.assert_right();
    log.has_key = true;
    assert_fault(&log.fault(None), FaultKind::Mac, 5, "a line without a MAC behind lines with one");
}

#[test]
fn a_key_that_came_later_vouches_for_what_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new(folder.path(), false);
    log.write(&["a", "b"]);
    log.has_key = true;
    log.write(&["c", "d"]);
    assert_eq!(log.assert_right().lines, 4);
    let text = log.text();
    for index in ["a", "b"] {
        fs::write(&log.path, text.replace(&format!("\"index\":\"{index}\""), "\"index\":\"x\"")).unwrap();
        log.fault(None);
    }
}

#[test]
fn cut_at_every_byte() {
    for has_key in [false, true] {
        let (_folder, log, lines, head) = log(has_key);
        let whole = fs::read(&log.path).unwrap();
        for cut in 0..whole.len() - 1 {
            let bytes = &whole[..cut];
            fs::write(&log.path, bytes).unwrap();
            let mut end = 0;
            let whole_lines = lines.iter().filter(|line| {
                end += line.len() + 1;
                end - 1 <= cut
            });
            let count = whole_lines.count() as u64;
            let fault = log.fault(Some(&head));
            let rest = cut as u64
                - lines[..count as usize]
                    .iter()
                    .map(|line| line.len() as u64 + 1)
                    .sum::<u64>()
                    .min(cut as u64);
            let kind = if rest > 0 { FaultKind::Torn } else { FaultKind::Cut };
            assert_fault(&fault, kind, count + 1, &format!("cut at {cut}"));
            match log.verify(None) {
                // Nothing but the head can tell of an end that is missing.
                Ok(report) => assert_eq!(report.fault.is_some(), rest > 0, "cut at {cut}: {report:?}"),
                Err(error) => assert_eq!((error.status(), cut), (Status::NotFound, 0)),
            }
        }
        // The last newline alone.
        fs::write(&log.path, &whole[..whole.len() - 1]).unwrap();
        log.assert_right();
    }
}

#[test]
fn edited_at_every_byte() {
    for has_key in [false, true] {
        let (_folder, log, lines, head) = log(has_key);
        let whole = fs::read(&log.path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 7);
            fs::write(&log.path, &bytes).unwrap();
            let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let fault = log.fault(Some(&head));
            // A newline that is none any more joins two lines.
            assert!(fault.seq == line || fault.seq == line + 1, "byte {at} of line {line}: {fault:?}");
            let without_head = log.verify(None).unwrap().fault;
            let is_last = line == LINES as u64;
            assert!(without_head.is_some() || (is_last && !has_key), "byte {at} of line {line}");
        }
        let rest: usize = lines.iter().map(|line| line.len() + 1).sum();
        assert_eq!(rest, whole.len());
    }
}

/// Edits that leave a line one that could have been written.
#[test]
fn edited_fields_are_found_where_they_are() {
    let edits = [
        ("\"outcome\":\"OK\"", "\"outcome\":\"NOT_FOUND\""),
        ("tester", "nobody"),
        ("\"open\"", "\"delete\""),
    ];
    for has_key in [false, true] {
        let (_folder, log, lines, head) = log(has_key);
        for number in 0..LINES {
            for (from, to) in edits {
                let mut edited = lines.clone();
                edited[number] = edited[number].replace(from, to);
                assert_ne!(edited[number], lines[number]);
                put(&log, &edited);
                let kind = if has_key { FaultKind::Mac } else { FaultKind::Changed };
                assert_fault(&log.fault(Some(&head)), kind, number as u64 + 1, from);
            }
            let seq = number + 1;
            let mut edited = lines.clone();
            edited[number] =
                edited[number].replace(&format!("\"seq\":{seq},"), &format!("\"seq\":{},", seq + 3));
            put(&log, &edited);
            let kind = if has_key { FaultKind::Mac } else { FaultKind::Changed };
            assert_fault(&log.fault(None), kind, seq as u64, "its number");
        }
    }
}

#[test]
fn a_changed_prev_is_told_from_a_changed_line_before() {
    let (_folder, log, lines, head) = log(false);
    for number in 0..LINES {
        let mut edited = lines.clone();
        let at = edited[number].find("\"prev\":\"").unwrap() + 8;
        let other = if &edited[number][at..=at] == "A" { "B" } else { "A" };
        edited[number].replace_range(at..=at, other);
        put(&log, &edited);
        let fault = log.fault(Some(&head));
        assert_eq!(fault.kind, FaultKind::Changed);
        assert_eq!(fault.seq, number as u64 + 1, "{fault:?}");
    }
}

#[test]
fn removed_at_every_line() {
    for has_key in [false, true] {
        let (_folder, log, lines, head) = log(has_key);
        for first in 0..LINES {
            for count in 1..=LINES - first {
                let mut left = lines.clone();
                left.drain(first..first + count);
                put(&log, &left);
                let at_end = first + count == LINES;
                let kind = if at_end { FaultKind::Cut } else { FaultKind::Removed };
                let fault = log.fault(Some(&head));
                assert_fault(&fault, kind, first as u64 + 1, &format!("{count} from {first}"));
                if !at_end {
                    let missing = format!("lines {} to {} are missing", first + 1, first + count);
                    assert!(fault.message.contains(&missing), "{fault:?}");
                }
            }
        }
        fs::remove_file(&log.path).unwrap();
        assert_fault(&log.fault(Some(&head)), FaultKind::Cut, 1, "all of it");
        assert_eq!(log.verify(None).unwrap_err().status(), Status::NotFound);
        assert_eq!(head_status(&log), Status::NotFound);
    }
}

fn head_status(log: &Log) -> Status {
    head(&log.path).map_or_else(|error| error.status(), |_| Status::Ok)
}

#[test]
fn reordered_and_repeated_at_every_line() {
    for has_key in [false, true] {
        let (_folder, log, lines, head) = log(has_key);
        for first in 0..LINES {
            for second in first + 1..LINES {
                let mut moved = lines.clone();
                moved.swap(first, second);
                put(&log, &moved);
                for head in [None, Some(&head)] {
                    let fault = log.fault(head);
                    assert_fault(
                        &fault,
                        FaultKind::Reordered,
                        second as u64 + 1,
                        &format!("{first} and {second}"),
                    );
                }
            }
            for at in first + 1..=LINES {
                let mut repeated = lines.clone();
                repeated.insert(at, lines[first].clone());
                put(&log, &repeated);
                assert_fault(&log.fault(None), FaultKind::Reordered, first as u64 + 1, "once more");
            }
        }
    }
}

#[test]
fn a_chain_made_anew_is_found_by_the_head_or_the_key() {
    let (_folder, mut log, lines, head) = log(false);
    put(&log, &lines[..3]);
    log.write(&["d", "e", "f", "forged", "and more"]);
    log.assert_right();
    assert_fault(&log.fault(Some(&head)), FaultKind::Changed, 7, "made anew");
    log.has_key = true;
    assert_fault(&log.fault(None), FaultKind::Mac, 8, "made anew");
}

#[test]
fn lines_of_two_logs_do_not_mix() {
    let (_first, one, lines, _) = log(true);
    let (_second, _, others, _) = log(true);
    for number in 1..LINES {
        let mut mixed = lines.clone();
        mixed[number] = others[number].clone();
        if mixed[number] != lines[number] {
            put(&one, &mixed);
            one.fault(None);
        }
        let mut mixed = lines[..number].to_vec();
        mixed.extend_from_slice(&others[number..]);
        if mixed != lines {
            put(&one, &mixed);
            one.fault(None);
        }
    }
}

#[test]
fn what_is_no_log_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), false);
    assert_eq!(log.verify(None).unwrap_err().status(), Status::NotFound);
    fs::write(&log.path, "").unwrap();
    assert_eq!(log.verify(None).unwrap_err().status(), Status::NotFound);
    for rubbish in ["\n", "hello", "hello\n", "{}\n", "null\n[]\n", "\0\0\0\0"] {
        fs::write(&log.path, rubbish).unwrap();
        assert_eq!(log.fault(None).seq, 1, "{rubbish:?}");
        assert_eq!(head_status(&log), Status::NotFound);
    }
    let elsewhere = Log { path: folder.path().join("no/such/folder/audit.log"), ..log.clone() };
    assert_eq!(elsewhere.verify(None).unwrap_err().status(), Status::Storage);
    assert_eq!(head_status(&elsewhere), Status::Storage);
    let is_a_folder = Log { path: folder.path().to_owned(), ..log };
    let error = is_a_folder.verify(None).unwrap_err();
    assert_eq!(error.status(), Status::Storage);
    assert!(error.message().contains("not a regular file"), "{error}");
    for json in ["", "{}", "[]", "{\"seq\":1}", "{\"seq\":1,\"hash\":\"AA==\"}", "{\"seq\":-1,\"hash\":\"\"}"]
    {
        assert_eq!(Head::from_json(json).unwrap_err().status(), Status::InvalidArgument, "{json}");
    }
}

#[test]
fn a_huge_line_is_read_in_bounded_memory() {
    let (_folder, log, lines, _) = log(true);
    let mut text = log.text().into_bytes();
    let at = lines[0].len() + 1;
    text.splice(at..at, std::iter::repeat_n(b'x', 3 << 20).chain(*b"\n"));
    fs::write(&log.path, &text).unwrap();
    assert_fault(&log.fault(None), FaultKind::Changed, 2, "three MiB of rubbish");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), has_key: bool) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path(), has_key);
        fs::write(&log.path, &bytes).unwrap();
        let report = log.verify(None);
        prop_assert!(report.is_err() || report.unwrap().fault.is_some());
        prop_assert_eq!(head_status(&log), Status::NotFound);
    }

    /// Pieces of real lines in any order, with any bytes between.
    #[test]
    fn no_pieces_of_lines_pass(
        pieces in proptest::collection::vec((0..LINES, 0.0..1.0f64, 0.0..1.0f64, any::<bool>()), 1..12),
        has_key: bool,
    ) {
        let (_folder, log, lines, head) = log(has_key);
        let whole = fs::read(&log.path).unwrap();
        let mut bytes = Vec::new();
        for (line, from, to, newline) in pieces {
            let line = lines[line].as_bytes();
            let (from, to) = ((from * line.len() as f64) as usize, (to * line.len() as f64) as usize);
            bytes.extend_from_slice(&line[from.min(to)..from.max(to)]);
            bytes.extend(newline.then_some(b'\n'));
        }
        prop_assume!(bytes != whole && !bytes.is_empty());
        fs::write(&log.path, &bytes).unwrap();
        prop_assert!(log.verify(Some(&head)).unwrap().fault.is_some());
    }
}
