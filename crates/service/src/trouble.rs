//! Something that is wrong for a while.

use std::time::{Duration, Instant};

/// Time after which a trouble that lasts is worth a report again.
const REMIND: Duration = Duration::from_secs(60);

/// Tells when something that stays wrong is worth a line in the log: when it begins, when its
/// reason changes, and again after a minute, instead of at every look.
#[derive(Debug, Default)]
pub struct Trouble {
    reported: Option<(String, Instant)>,
}

impl Trouble {
    /// Whether it is wrong now.
    pub const fn is_on(&self) -> bool {
        self.reported.is_some()
    }

    /// Notes that it is wrong; tells whether to report it now.
    #[must_use]
    pub fn note(&mut self, reason: &str) -> bool {
        if let Some((known, at)) = &self.reported
            && known == reason
            && at.elapsed() < REMIND
        {
            return false;
        }
        self.reported = Some((reason.to_owned(), Instant::now()));
        true
    }

    /// Notes that nothing is wrong; tells whether something was.
    pub fn over(&mut self) -> bool {
        self.reported.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_reported_when_it_begins_and_when_its_reason_changes() {
        let mut trouble = Trouble::default();
        assert!(!trouble.over());
        assert!(trouble.note("no answer"));
        assert!(!trouble.note("no answer"));
        assert!(trouble.note("wrong answer") && trouble.is_on());
        assert!(trouble.over() && !trouble.is_on());
        assert!(trouble.note("wrong answer"));
    }
}
