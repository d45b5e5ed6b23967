//! The contract between the eBPF programs and the collector.
//!
//! Everything that crosses from kernel to user space is declared here once: the records of the
//! ring buffer, the keys and values of the shared maps, the configuration that the collector
//! writes before loading, and the names of all of these. The crate is `no_std` and holds no policy.
#![no_std]

pub mod aarch64;
pub mod clone_flags;
pub mod config;
pub mod file_lock;
pub mod futex;
pub mod maps;
pub mod record;
pub mod signals;
pub mod socket;
