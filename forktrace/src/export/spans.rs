//! Spans of time, and which of them an instant lies in: a number is given to one process or thread after
//! the other, and a thread waits for one word again and again.

use std::{cmp::Reverse, collections::BinaryHeap};

/// A span of something's time, at a place of its own in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<K> {
    /// What it is of.
    pub(super) of: K,
    /// Its beginning.
    pub(super) from: u64,
    /// Its end; `None`: there is none.
    pub(super) until: Option<u64>,
    /// Its place.
    pub(super) place: u32,
}

/// Many of them.
#[derive(Debug)]
pub(super) struct Spans<K>(Vec<Span<K>>);

impl<K: Copy + Ord> Spans<K> {
    pub(super) fn new(mut spans: Vec<Span<K>>) -> Self {
        spans.sort_unstable_by_key(|span| (span.of, span.from));
        Spans(spans)
    }

    /// For each question the place, the lowest of several, of a span of that in which the instant lies.
    ///
    /// They are answered together, in the order of their instants, so that many questions about the same
    /// do not each go through all its spans: a log may be made so that both are very many.
    pub(super) fn first(&self, questions: &[Option<(K, u64)>]) -> Vec<Option<u32>> {
        let mut order: Vec<(K, u64, usize)> = questions
            .iter()
            .enumerate()
            .filter_map(|(n, question)| question.map(|(of, at)| (of, at, n)))
            .collect();
        order.sort_unstable();
        let mut answers = vec![None; questions.len()];
        let mut spans = self.0.iter().peekable();
        // Those of `current` that have begun, the lowest place first.
        let mut begun: BinaryHeap<Reverse<(u32, Option<u64>)>> = BinaryHeap::new();
        let mut current = None;
        for (of, at, n) in order {
            if current.replace(of) != Some(of) {
                begun.clear();
            }
            while let Some(span) = spans.next_if(|span| (span.of, span.from) <= (of, at)) {
                if span.of == of {
                    begun.push(Reverse((span.place, span.until)));
                }
            }
            // What has ended by now has for all later instants.
            while let Some(Reverse((_, Some(until)))) = begun.peek()
                && *until < at
            {
                begun.pop();
            }
            let answer = begun.peek().map(|Reverse((place, _))| *place);
            if let Some(place) = answers.get_mut(n) {
                *place = answer;
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_same_is_found_as_by_looking_at_one_after_the_other(
            spans in prop::collection::vec((0_u8..3, 0_u64..20, prop::option::of(0_u64..20)), 0..30),
            questions in prop::collection::vec(prop::option::of((0_u8..4, 0_u64..22)), 0..30),
        ) {
            let spans: Vec<Span<u8>> = (0..)
                .zip(spans)
                .map(|(place, (of, from, until))| Span { of, from, until, place })
                .collect();
            let plain = |(of, at): (u8, u64)| {
                let holds = |span: &&Span<u8>| {
                    span.of == of && span.from <= at && span.until.is_none_or(|until| until >= at)
                };
                spans.iter().find(holds).map(|span| span.place)
            };
            let expected: Vec<_> = questions.iter().map(|question| question.and_then(plain)).collect();
            prop_assert_eq!(Spans::new(spans).first(&questions), expected);
        }
    }
}
