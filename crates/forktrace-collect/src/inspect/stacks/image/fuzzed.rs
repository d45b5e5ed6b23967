//! Everything that is ever asked of an image, of one that may be broken.

use std::sync::Arc;

use forktrace_common::maps::Registers;
use framehop::FrameAddress;

use super::{
    super::{super::timeout::quietly, space::Module, unwind::Unwinder},
    File, Image, Mapping,
};
use crate::arch::native::unwind_registers;

/// Reads a file as a program or library. Returns how often a walk led somewhere.
pub(in crate::inspect) fn read(file: File) -> Option<usize> {
    let image = Image::parse(file).ok()?;
    ask_all(&image);
    Some(walk_all(image))
}

pub(super) fn ask_all(image: &Image) {
    for address in [0, 1, image.base, 0x1000, u64::MAX] {
        image.holds(address);
        image.spot(address);
        for perms in ["r--p", "rw-p", "r-xp"] {
            let mapping = Mapping {
                start: 0x7000_0000_0000,
                end: 0x7000_0000_2000,
                offset: address,
                perms: perms.into(),
                ..Mapping::default()
            };
            image.bias(&mapping);
        }
    }
}

/// Walks out of functions all over an image. How often that led somewhere.
pub(super) fn walk_all(image: Image) -> usize {
    let start = 0x7000_0000_0000;
    let bias = u64::wrapping_sub(start, image.base);
    let text = image.unwind.text.unwrap_or((0, 0));
    let module = Module {
        path: String::new(),
        image: Arc::new(image),
        bias,
        range: start..start + 0x1_0000,
    };
    let mut unwinder = Unwinder::default();
    unwinder.add(&module);
    let steps = (0..64u64).filter(|part| {
        let address = bias.wrapping_add(text.0).wrapping_add(part.wrapping_mul(37));
        let start = Registers { ip: address, sp: 0x6000, frame: 0x6100, ..Registers::default() };
        let mut registers = unwind_registers(&start);
        let mut read = |at: u64| Some(at ^ 0x7000_0000_0123);
        let frame = FrameAddress::from_instruction_pointer(address);
        let step =
            || unwinder.step(frame, &mut registers, &mut read).is_ok_and(|next| next.is_some());
        quietly(step).unwrap_or(false)
    });
    steps.count()
}
