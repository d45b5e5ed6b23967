//! The additive feedback generators of C's `random()` and `rand()`: types 1 to 4.
//!
//! `struct random_data` (`stdlib/stdlib.h`, glibc 2.36) has the addresses of two words of a table, of the
//! table and of its end, and the numbers that belong to the type (`stdlib/random_r.c`). A step adds the
//! second word to the first, and both go on by one (`__random_r`). Type 0, with one word of 31 bits, says
//! too little.

use super::{
    Hit,
    bits::{Pair, Window, hit, words},
};
use crate::event::GeneratorKind;

/// Most steps.
const MOST: u64 = 1 << 16;
/// `(rand_type, rand_deg, rand_sep)` (`random_poly_info`, `stdlib/random_r.c`, glibc 2.36).
const TYPES: [(u32, u32, u32); 4] = [(1, 7, 3), (2, 15, 1), (3, 31, 3), (4, 63, 1)];
/// Bits by which addresses and numbers show what they are.
const STRUCTURE: u32 = 64;
/// Most words of a table.
const WORDS: usize = 63;

/// Fields of `struct random_data`, each 8 bytes: `fptr`, `rptr`, `state`, the type and the degree, the
/// separation, `end_ptr`.
type Data = [u64; 6];

/// What it says: the degree, and the numbers of the two words.
struct State {
    table: u64,
    degree: usize,
    front: usize,
    rear: usize,
}

fn read([front, rear, table, kind, separation, end]: Data) -> Option<State> {
    let kind = (kind as u32, (kind >> 32) as u32, separation as u32);
    let (_, degree, separation) = *TYPES.iter().find(|known| **known == kind)?;
    let size = u64::from(degree) * 4;
    let index = |at: u64| {
        let offset = at.checked_sub(table).filter(|offset| *offset < size && offset % 4 == 0)?;
        usize::try_from(offset / 4).ok()
    };
    let (front, rear) = (index(front)?, index(rear)?);
    let degree = degree as usize;
    let apart = (front + degree - rear) % degree;
    let right = table.checked_add(size) == Some(end) && apart == separation as usize;
    right.then_some(State { table, degree, front, rear })
}

/// `address`: of the `struct random_data`.
pub(super) fn test(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    let data = pair.longs::<6>(address)?;
    let (then, now) = (read(data.then)?, read(data.now)?);
    if (then.table, then.degree) != (now.table, now.degree) {
        return None;
    }
    let table = table(pair, then.table, then.degree)?;
    let (mut state, mut front, mut rear) = (table.then, then.front, then.rear);
    for steps in 1..=MOST {
        state[front] = state[front].wrapping_add(state[rear]);
        front = (front + 1) % then.degree;
        rear = (rear + 1) % then.degree;
        if front == now.front && state == table.now {
            let words = u32::try_from(steps).unwrap_or(u32::MAX).min(then.degree as u32);
            let inherited = (table.then, then.front);
            return hit(GeneratorKind::Additive, address, steps, STRUCTURE + words * 32, inherited);
        }
    }
    None
}

/// The words of a table; those after its end are zero.
fn table(pair: &mut Pair<'_>, address: u64, degree: usize) -> Option<Window<[u32; WORDS]>> {
    let bytes = pair.bytes(address, degree * 4)?;
    Some(Window { then: words(&bytes.then), now: words(&bytes.now) })
}
