//! Durations and sizes with their units.

use std::time::Duration;

use bytesize::ByteSize;

/// `60s`, `10m`, `90d`, `500ms`, `1h 30m`; a bare number is none, but `0`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

/// `100MiB`, `64KiB`, `1GB`; a bare number is none, but `0`.
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    // The library takes a bare number for bytes: which unit was meant is not to be guessed.
    text.ends_with(|c: char| c.is_ascii_alphabetic()).then_some(())?;
    text.parse::<ByteSize>().ok().map(|size| size.as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, milliseconds) in [
            ("60s", 60_000),
            ("10m", 600_000),
            ("90d", 7_776_000_000),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("1h 30m", 5_400_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "60", "00", "-1s", "s", "1 fortnight", "1e3s", "99999999999999999999s", "0x1s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        for (text, bytes) in [("100MiB", 100 << 20), ("64KiB", 64 << 10), ("1GB", 1_000_000_000), ("0", 0)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "100", "MiB", "-1MiB", "100 parsecs", "1e3"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
