//! What a living process can still tell, read without stopping it.
use crate::event::AtFork;
/// tmp
pub trait Inherited {
    /// tmp
    fn bytes(&self, pid: u32, address: u64, len: usize) -> AtFork;
    /// tmp
    fn wakes(&self, pid: u32, uaddr: u64) -> Option<u64>;
}
