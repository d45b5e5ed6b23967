//! How long looks at processes take: one that does not come back, as from a file system that does not
//! answer, leaves the trace blind.

/// Most looks that are kept until they are asked for.
const MOST: usize = 1_000;

/// What looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A round of samples (without `--exact`).
    Round,
    /// The census.
    Census,
}

/// The looks under way, and how long those took that have ended.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// When the look of each kind began, `CLOCK_BOOTTIME`, ns.
    began_ns: [Option<u64>; 2],
    took_ns: Vec<u64>,
}

impl Looks {
    /// A look has begun, unless one was under way before.
    pub(super) fn begun(&mut self, kind: Kind, now_ns: u64) {
        self.began_ns[kind as usize].get_or_insert(now_ns);
    }

    /// A look is over, if one was under way.
    pub(super) fn ended(&mut self, kind: Kind, now_ns: u64) {
        let took_ns = self.began_ns[kind as usize].take().map(|began| now_ns.saturating_sub(began));
        if self.took_ns.len() < MOST {
            self.took_ns.extend(took_ns);
        }
    }

    /// For how long the longest look that is under way has lasted, ns.
    pub(super) fn under_way_ns(&self, now_ns: u64) -> Option<u64> {
        self.began_ns.iter().flatten().map(|began| now_ns.saturating_sub(*began)).max()
    }

    /// How long each look took that has ended since this was asked last, ns.
    pub(super) fn take(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.took_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_lasts_from_its_first_begin_to_its_end() {
        let mut looks = Looks::default();
        looks.ended(Kind::Census, 5);
        looks.begun(Kind::Round, 10);
        looks.begun(Kind::Round, 20);
        looks.begun(Kind::Census, 30);
        assert_eq!(looks.under_way_ns(40), Some(30));
        looks.ended(Kind::Round, 50);
        assert_eq!((looks.under_way_ns(60), looks.take()), (Some(30), vec![40]));
        assert_eq!(looks.take(), Vec::<u64>::new());
    }
}
