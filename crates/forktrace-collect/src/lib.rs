//! The live side of forktrace: what the kernel and `/proc` tell of processes, as events.
//!
//! [`kernel`] is the only home of aya, of `unsafe` and of everything that needs privilege; [`inspect`]
//! reads living processes without stopping them; [`decode`] and [`reorder`] make events in the order of
//! their time; [`engine`] is the loop that puts these together; [`doctor`] tries what a host can do;
//! [`arch`] has what differs between processors.

pub mod arch;
pub mod clock;
pub mod decode;
pub mod doctor;
pub mod engine;
pub mod inspect;
pub mod kernel;
pub mod reorder;
