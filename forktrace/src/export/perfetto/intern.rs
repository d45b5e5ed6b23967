//! Strings that are written once and then named by number.

use rustc_hash::FxHashMap;

use super::proto::{Interned, InternedData};

/// Which table a string is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Table {
    Category,
    Name,
    AnnotationName,
    AnnotationValue,
}

/// All strings so far, and those that the next packet has to define.
#[derive(Debug, Default)]
pub(super) struct Interner {
    numbers: FxHashMap<Table, FxHashMap<String, u64>>,
    new: InternedData,
}

impl Interner {
    /// The number of `text`, from 1.
    pub(super) fn number(&mut self, table: Table, text: &str) -> u64 {
        let numbers = self.numbers.entry(table).or_default();
        if let Some(number) = numbers.get(text) {
            return *number;
        }
        let number = numbers.len() as u64 + 1;
        numbers.insert(text.to_owned(), number);
        let new = match table {
            Table::Category => &mut self.new.event_categories,
            Table::Name => &mut self.new.event_names,
            Table::AnnotationName => &mut self.new.debug_annotation_names,
            Table::AnnotationValue => &mut self.new.debug_annotation_string_values,
        };
        new.push(Interned { iid: Some(number), name: Some(text.to_owned()) });
        number
    }

    /// What the packet that used numbers since the last call has to define.
    pub(super) fn definitions(&mut self) -> Option<InternedData> {
        let new = std::mem::take(&mut self.new);
        (new != InternedData::default()).then_some(new)
    }
}
