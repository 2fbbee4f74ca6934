//! Durations as users write them, and waits between attempts.

use std::time::Duration;

/// Parses `500ms`, `12s`, `2m`, `1h30m`. A bare `0` is zero; any other number needs its unit.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("{text:?} is not a duration such as 500ms, 12s, 2m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| expected())?;
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let part = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            _ => None,
        };
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(expected)?;
        rest = after;
    }
    if text.is_empty() { Err(expected()) } else { Ok(total) }
}

/// The wait after so many failures in a row: 1 s after the first, twice as long after each further
/// one, `longest` at the most.
pub fn backoff(failures: u32, longest: Duration) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(32)).min(longest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let longest = Duration::from_secs(30);
        assert_eq!(backoff(0, longest), Duration::from_secs(1));
        assert_eq!(backoff(1, longest), Duration::from_secs(1));
        assert_eq!(backoff(3, longest), Duration::from_secs(4));
        assert_eq!(backoff(u32::MAX, longest), longest);
    }

    #[test]
    fn units_add_up_and_nonsense_is_refused() {
        for (text, millis) in [("500ms", 500), ("12s", 12_000), ("1h30m", 5_400_000), ("0", 0)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "12", "s", "1d", "-1s", "1.5s", "99999999999999999999s", "ü"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
