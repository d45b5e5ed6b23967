//! Strategies: any generators.

use forktrace_model::event::*;
use proptest::{collection::vec, option, prelude::*};

use super::any::text;

/// Any generators of a process.
pub(super) fn generators() -> impl Strategy<Value = Generators> {
    let kind = prop::sample::select(GeneratorKind::ALL);
    let side = (any::<[u32; 2]>(), any::<u64>(), text())
        .prop_map(|([pid, bits], steps, comm)| GeneratorSide { pid, comm, steps, bits });
    let generator = (kind, any::<u64>(), vec(side, 0..3), option::of(text()));
    let generator = generator.prop_map(|(kind, address, sides, name)| Generator {
        kind,
        address,
        sides,
        type_name: name.clone(),
        module: name.clone().filter(|_| address % 2 == 0),
        program: name,
    });
    (vec(generator, 0..2), any::<u32>(), any::<bool>()).prop_map(|(found, pages, cut)| Generators {
        found,
        pages,
        cut,
    })
}
