//! Time in a recorded log: where it stands, and where its findings are.

/// Steps from the beginning of a log to its end.
const STEPS: u64 = 60;
/// The shortest step, ns.
const SHORTEST_NS: u64 = 100_000_000;

/// The time that a log covers. All times are `CLOCK_BOOTTIME`, ns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruler {
    /// Its first event.
    pub from_ns: u64,
    /// Its last event.
    pub until_ns: u64,
    /// The moment that is shown.
    pub at_ns: u64,
    /// When findings were made, in the order of time.
    pub marks_ns: Vec<u64>,
}

impl Ruler {
    /// The moment so many steps later, or earlier if `steps` is negative; a step is a sixtieth of the log.
    pub fn stepped(&self, steps: i64) -> u64 {
        let length = self.until_ns.saturating_sub(self.from_ns);
        let step = (length / STEPS).max(SHORTEST_NS);
        let by = step.saturating_mul(steps.unsigned_abs());
        let to = match steps < 0 {
            true => self.at_ns.saturating_sub(by),
            false => self.at_ns.saturating_add(by),
        };
        to.clamp(self.from_ns, self.until_ns)
    }

    /// The moment of the next finding, or of the one before; where there is none, the end or the beginning.
    pub fn marked(&self, later: bool) -> u64 {
        let found = match later {
            true => self.marks_ns.iter().copied().find(|mark| *mark > self.at_ns),
            false => self.marks_ns.iter().copied().rev().find(|mark| *mark < self.at_ns),
        };
        found.unwrap_or(if later { self.until_ns } else { self.from_ns })
    }

    /// The ruler in so many characters: `│` stands for the moment, `!` for a finding.
    pub fn text(&self, width: usize, ascii: bool) -> String {
        let (line, here) = if ascii { ('-', '|') } else { ('─', '┃') };
        let mut text = vec![line; width];
        for mark in &self.marks_ns {
            if let Some(place) = text.get_mut(self.place(*mark, width)) {
                *place = '!';
            }
        }
        if let Some(place) = text.get_mut(self.place(self.at_ns, width)) {
            *place = here;
        }
        text.into_iter().collect()
    }

    fn place(&self, at_ns: u64, width: usize) -> usize {
        let length = self.until_ns.saturating_sub(self.from_ns).max(1);
        let since = at_ns.saturating_sub(self.from_ns).min(length);
        let last = width.saturating_sub(1) as u128;
        usize::try_from(u128::from(since) * last / u128::from(length)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn ruler(at_ns: u64) -> Ruler {
        Ruler { from_ns: 100 * S, until_ns: 700 * S, at_ns, marks_ns: vec![200 * S, 500 * S] }
    }

    #[test]
    fn steps_stay_in_the_log() {
        assert_eq!(ruler(400 * S).stepped(1), 410 * S);
        assert_eq!(ruler(400 * S).stepped(-2), 380 * S);
        assert_eq!(ruler(695 * S).stepped(1), 700 * S);
        assert_eq!(ruler(100 * S).stepped(-1), 100 * S);
        let short = Ruler { from_ns: 5, until_ns: 9, at_ns: 7, marks_ns: Vec::new() };
        assert_eq!((short.stepped(-1), short.stepped(1)), (5, 9));
    }

    #[test]
    fn the_next_finding_is_found() {
        assert_eq!(ruler(100 * S).marked(true), 200 * S);
        assert_eq!(ruler(200 * S).marked(true), 500 * S);
        assert_eq!(ruler(500 * S).marked(true), 700 * S);
        assert_eq!(ruler(500 * S).marked(false), 200 * S);
        assert_eq!(ruler(200 * S).marked(false), 100 * S);
    }

    #[test]
    fn it_is_as_wide_as_asked_and_shows_where_it_stands() {
        assert_eq!(ruler(700 * S).text(13, false), "──!─────!───┃");
        assert_eq!(ruler(200 * S).text(13, true), "--|-----!----");
        assert_eq!(ruler(0).text(0, false), "");
        assert_eq!(Ruler::default().text(3, true), "|--");
    }
}
