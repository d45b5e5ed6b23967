//! Programs and libraries that were read a moment ago: hundreds of stuck children run the same ones.
//!
//! They are kept for all readers, up to a number of bytes, and given up when nothing has been read for a
//! while ([`forget`]).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::image::{FileId, Image};

/// Most bytes that are kept. Each file is there as a copy in memory.
const MOST_BYTES: u64 = 64 << 20;
/// How long one is kept that nobody asks for. Debug information in a file of its own may be installed
/// meanwhile.
const UNUSED: Duration = Duration::from_secs(10);

/// What is kept, and when it was last asked for.
#[derive(Debug, Default)]
struct Kept {
    images: BTreeMap<FileId, (Arc<Image>, Instant)>,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { images: BTreeMap::new() });

/// The file, as it was read before or as `read` reads it now.
pub(super) fn image(
    id: FileId,
    read: impl FnOnce() -> Result<Image, String>,
) -> Result<Arc<Image>, String> {
    let now = Instant::now();
    if let Some(image) = kept().get(id, now) {
        return Ok(image);
    }
    // Nobody waits for it meanwhile; two may read the same.
    let image = Arc::new(read()?);
    kept().put(id, &image, now);
    Ok(image)
}

/// Gives up all that is kept.
pub(super) fn forget() {
    kept().images.clear();
}

fn kept() -> MutexGuard<'static, Kept> {
    // Each change is whole, whatever happened to who made it.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn get(&mut self, id: FileId, now: Instant) -> Option<Arc<Image>> {
        self.images.retain(|_, (_, used)| now.saturating_duration_since(*used) < UNUSED);
        let (image, used) = self.images.get_mut(&id)?;
        *used = now;
        Some(Arc::clone(image))
    }

    fn put(&mut self, id: FileId, image: &Arc<Image>, now: Instant) {
        if !id.is_file() || image.bytes > MOST_BYTES {
            return;
        }
        self.images.insert(id, (Arc::clone(image), now));
        while self.bytes() > MOST_BYTES {
            let oldest = self.images.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { return };
            self.images.remove(&oldest);
        }
    }

    fn bytes(&self) -> u64 {
        self.images.values().map(|(image, _)| image.bytes).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(inode: u64, bytes: u64) -> (FileId, Arc<Image>) {
        (FileId::made_up(inode), Arc::new(Image::empty(bytes)))
    }

    #[test]
    fn the_ones_that_nobody_asks_for_go_first() {
        let mut kept = Kept::default();
        let start = Instant::now();
        let half = MOST_BYTES / 2;
        for (inode, after) in [(1, 0), (2, 1)] {
            let (id, image) = file(inode, half);
            kept.put(id, &image, start + Duration::from_secs(after));
        }
        assert!(kept.get(FileId::made_up(1), start + Duration::from_secs(2)).is_some());
        let (id, image) = file(3, half);
        kept.put(id, &image, start + Duration::from_secs(3));
        let there = |kept: &mut Kept, inode| {
            kept.get(FileId::made_up(inode), start + Duration::from_secs(4)).is_some()
        };
        assert_eq!([1, 2, 3].map(|inode| there(&mut kept, inode)), [true, false, true]);
        assert!(kept.bytes() <= MOST_BYTES);
        assert!(kept.get(FileId::made_up(1), start + Duration::from_secs(4) + UNUSED).is_none());
        assert_eq!(kept.bytes(), 0);
    }

    #[test]
    fn what_is_too_large_or_no_file_is_not_kept() {
        let mut kept = Kept::default();
        let (id, image) = file(1, MOST_BYTES + 1);
        kept.put(id, &image, Instant::now());
        kept.put(FileId::KERNELS, &file(2, 1).1, Instant::now());
        assert!(kept.images.is_empty());
    }
}
