//! Times as the JSON of the API has them.

use std::time::{Duration, UNIX_EPOCH};

/// 9999-12-31T23:59:59Z: RFC 3339 has years of four digits.
const LAST: i64 = 253_402_300_799;

/// RFC 3339 in UTC; `None` before 1970 and after 9999, which no writer of ours stores.
pub(in crate::engine) fn rfc3339(unix_seconds: i64) -> Option<String> {
    let seconds = u64::try_from(unix_seconds).ok().filter(|_| unix_seconds <= LAST)?;
    Some(humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string())
}

/// The same for a place where 0 says that there is none.
pub(super) fn rfc3339_unless_0(unix_seconds: i64) -> Option<String> {
    if unix_seconds == 0 { None } else { rfc3339(unix_seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_record_holds_is_a_time_or_none() {
        assert_eq!(rfc3339(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(rfc3339(1_700_000_000).as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(rfc3339(LAST).as_deref(), Some("9999-12-31T23:59:59Z"));
        assert_eq!(rfc3339_unless_0(0), None);
        for outside in [LAST + 1, i64::MAX, i64::MIN, -1] {
            assert_eq!(rfc3339(outside), None);
        }
    }
}
