//! What is mapped where in one process, with its programs and libraries as they are needed.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

use super::{
    super::memory,
    image::{FileId, Image},
    kept,
};
use forktrace_model::event::{Mapping, stacks::Place};

type Answer<T> = Result<T, String>;

/// Programs and libraries of one reading: a parent and its child run the same ones.
pub(super) type Images = Rc<RefCell<BTreeMap<FileId, Answer<Arc<Image>>>>>;

/// The mappings of a process.
#[derive(Debug)]
pub(super) struct Space {
    pid: u32,
    mappings: Vec<Mapping>,
    images: Images,
    /// What was found out of a mapping, by its place among the mappings.
    modules: BTreeMap<usize, Answer<Module>>,
}

/// A program or library where it is mapped.
#[derive(Clone, Debug)]
pub(super) struct Module {
    pub(super) path: String,
    pub(super) image: Arc<Image>,
    /// Added to an address of the file's own, this gives that of the process.
    pub(super) bias: u64,
    /// The part of the process's memory that was asked about.
    pub(super) range: std::ops::Range<u64>,
}

impl Space {
    /// That of a process, now.
    pub(super) fn of(pid: u32, images: &Images) -> Answer<Self> {
        let mappings = memory::mappings(pid).map_err(|error| error.to_string())?;
        Ok(Space { pid, mappings, images: images.clone(), modules: BTreeMap::new() })
    }

    fn index(&self, address: u64) -> Option<usize> {
        let after = self.mappings.partition_point(|mapping| mapping.start <= address);
        let index = after.checked_sub(1)?;
        self.mappings.get(index).filter(|mapping| address < mapping.end).map(|_| index)
    }

    /// Where the kernel has calls return to that it probes (`xol_add_vma`, `kernel/events/uprobes.c`,
    /// Linux 6.18).
    pub(super) fn probes(&self) -> std::ops::Range<u64> {
        let probes = self.mappings.iter().find(|mapping| mapping.path == "[uprobes]");
        probes.map_or(0..0, |probes| probes.start..probes.end)
    }

    /// Whether code can run at an address.
    pub(super) fn is_code(&self, address: u64) -> bool {
        let mapping = self.index(address).and_then(|index| self.mappings.get(index));
        mapping.is_some_and(|mapping| mapping.perms.contains('x'))
    }

    /// Whether code at an address belongs to no file, as that of a just-in-time compiler.
    pub(super) fn is_anonymous(&self, address: u64) -> bool {
        let mapping = self.index(address).and_then(|index| self.mappings.get(index));
        mapping.is_some_and(|mapping| mapping.path.is_empty())
    }

    /// The program or library at an address, or why it cannot be read.
    pub(super) fn module(&mut self, address: u64) -> Answer<Module> {
        let nothing = || "nothing is mapped there".to_owned();
        let index = self.index(address).ok_or_else(nothing)?;
        self.module_of(index)
    }

    fn module_of(&mut self, index: usize) -> Answer<Module> {
        if let Some(known) = self.modules.get(&index) {
            return known.clone();
        }
        let mapping = self.mappings.get(index).ok_or("nothing is mapped there")?;
        let module = self.image(mapping).and_then(|image| {
            let bias = image.bias(mapping).ok_or("its file does not fit its mapping")?;
            let (path, range) = (mapping.path.clone(), mapping.start..mapping.end);
            Ok(Module { path, image, bias, range })
        });
        self.modules.insert(index, module.clone());
        module
    }

    fn image(&self, mapping: &Mapping) -> Answer<Arc<Image>> {
        let id = FileId::of_mapping(self.pid, mapping)?;
        let mut images = self.images.borrow_mut();
        let image = || kept::image(id, || Image::of_mapping(self.pid, mapping));
        images.entry(id).or_insert_with(image).clone()
    }

    /// Where data lies; `None`: the heap, or memory that nothing is known of. `stacks` are the stack
    /// pointers of living threads.
    pub(super) fn place(&mut self, address: u64, stacks: &[(u32, u64)]) -> Option<Place> {
        let index = self.index(address)?;
        let mapping = self.mappings.get(index)?;
        let range = mapping.start..mapping.end;
        // A stack grows down from its end: what lies below the stack pointer is no stack.
        let above = |(_, sp): &&(u32, u64)| range.contains(sp) && *sp <= address;
        if let Some((tid, _)) = stacks.iter().filter(above).max_by_key(|(_, sp)| *sp) {
            return Some(Place::Stack { tid: *tid });
        }
        // Data that is zero at first has no file behind it: its memory follows that which has.
        let end = mapping.start;
        let index = match mapping.path.is_empty() || mapping.path == "[heap]" {
            true => index.checked_sub(1).filter(|before| {
                self.mappings.get(*before).is_some_and(|before| before.end == end)
            })?,
            false => index,
        };
        let module = self.module_of(index).ok()?;
        let own = address.wrapping_sub(module.bias);
        let spot = module.image.holds(own).then(|| module.image.spot(own)).flatten()?;
        Some(Place::Module {
            path: module.path,
            section: spot.section,
            symbol: spot.symbol,
            offset: spot.offset,
        })
    }
}
