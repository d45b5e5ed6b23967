//! Walking a stack from its registers, over memory that somebody reads.

use std::sync::Arc;

use forktrace_common::maps::Registers;
use framehop::{Error, ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder as _};

use super::space::{self, Space};
use crate::arch::native::{self, UnwindCache, UnwindRegisters, unwind_registers};

/// Most frames that are kept of one stack.
const MAX_FRAMES: usize = 64;

/// A walked stack, innermost first.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Where the thread is and where it returns to.
    pub(super) addresses: Vec<Address>,
    /// Why callers may be missing.
    pub(super) cut: Option<String>,
}

impl Walk {
    /// A stack of which nothing is known.
    pub(super) fn missing(why: impl Into<String>) -> Self {
        Walk { addresses: Vec::new(), cut: Some(why.into()) }
    }

    /// Single calls, by the addresses that they return to.
    pub(super) fn calls(returns: Vec<u64>) -> Self {
        let call = |address: u64| Address { address, lookup: address.saturating_sub(1) };
        Walk { addresses: returns.into_iter().map(call).collect(), cut: None }
    }
}

/// One address of a stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    /// The address itself.
    pub(super) address: u64,
    /// An address inside of the instruction that is meant: the call, not what follows it.
    pub(super) lookup: u64,
}

/// Walks a stack. `read` gives the eight bytes at an address, where they are known.
pub(super) fn walk(
    space: &mut Space,
    start: &Registers,
    read: &mut dyn FnMut(u64) -> Option<u64>,
) -> Walk {
    let mut unwinder = Unwinder::default();
    let mut registers = unwind_registers(start);
    let mut walk = Walk::default();
    let mut frame = FrameAddress::from_instruction_pointer(start.ip);
    loop {
        let (address, lookup) = (frame.address(), frame.address_for_lookup());
        if !space.is_code(lookup) {
            walk.cut = Some(format!("the stack leads to {address:#x}, which is no code"));
            return walk;
        }
        walk.addresses.push(Address { address, lookup });
        if walk.addresses.len() >= MAX_FRAMES {
            walk.cut = Some(format!("no more than {MAX_FRAMES} frames are kept"));
            return walk;
        }
        if let Err(why) = unwinder.know(space, lookup) {
            walk.cut = Some(why);
            return walk;
        }
        match unwinder.step(frame, &mut registers, read) {
            Ok(Some(next)) => frame = next,
            Ok(None) => return walk,
            Err(error) => {
                walk.cut = Some(in_words(error));
                return walk;
            }
        }
    }
}

fn in_words(error: Error) -> String {
    match error {
        Error::CouldNotReadStack(address) => format!("no memory is known at {address:#x}"),
        Error::ReturnAddressIsNull => "a return address is zero".into(),
        Error::FramepointerUnwindingMovedBackwards | Error::DidNotAdvance => {
            "the stack goes in a circle".into()
        }
        Error::IntegerOverflow => "the stack leaves the address space".into(),
    }
}

/// The unwinder with the modules that it knows.
#[derive(Default)]
pub(super) struct Unwinder {
    unwinder: native::Unwinder,
    cache: UnwindCache,
    known: Vec<std::ops::Range<u64>>,
}

impl Unwinder {
    /// Makes the module of an address known, or says why the stack ends there.
    fn know(&mut self, space: &mut Space, address: u64) -> Result<(), String> {
        // Just-in-time compilers keep frame pointers, which need no tables.
        if self.known.iter().any(|range| range.contains(&address)) || space.is_anonymous(address) {
            return Ok(());
        }
        let module = space.module(address)?;
        let unwind = &module.image.unwind;
        if unwind.eh_frame.is_none() && unwind.debug_frame.is_none() {
            return Err(format!("{} has no unwind tables (.eh_frame)", module.path));
        }
        self.add(&module);
        Ok(())
    }

    pub(super) fn add(&mut self, module: &space::Module) {
        self.known.push(module.range.clone());
        self.unwinder.add_module(in_framehop(module));
    }

    /// The caller of a frame; none at the end of the stack.
    pub(super) fn step(
        &mut self,
        frame: FrameAddress,
        registers: &mut UnwindRegisters,
        read: &mut dyn FnMut(u64) -> Option<u64>,
    ) -> Result<Option<FrameAddress>, Error> {
        let mut read = |address| read(address).ok_or(());
        let next = self.unwinder.unwind_frame(frame, registers, &mut self.cache, &mut read)?;
        Ok(next.and_then(FrameAddress::from_return_address))
    }
}

fn in_framehop(module: &space::Module) -> Module<Arc<[u8]>> {
    let unwind = &module.image.unwind;
    let range = |start: u64, bytes: &Arc<[u8]>| start..start.saturating_add(bytes.len() as u64);
    let sections = ExplicitModuleSectionInfo {
        base_svma: module.image.base,
        text_svma: unwind.text.map(|(start, end)| start..end),
        got_svma: unwind.got.map(|(start, end)| start..end),
        eh_frame_svma: unwind.eh_frame.as_ref().map(|(start, bytes)| range(*start, bytes)),
        eh_frame: unwind.eh_frame.as_ref().map(|(_, bytes)| bytes.clone()),
        eh_frame_hdr_svma: unwind.eh_frame_hdr.as_ref().map(|(start, bytes)| range(*start, bytes)),
        eh_frame_hdr: unwind.eh_frame_hdr.as_ref().map(|(_, bytes)| bytes.clone()),
        debug_frame: unwind.debug_frame.clone(),
        ..ExplicitModuleSectionInfo::default()
    };
    let base = module.image.base.wrapping_add(module.bias);
    Module::new(module.path.clone(), module.range.clone(), base, sections)
}
