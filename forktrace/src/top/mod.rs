//! `top`: all processes of a trace at one moment, those that hang first.
//!
//! Pure: [`State`] is what is known at one moment, [`rows`](rows::rows) puts it into the order that
//! [`Arrangement`] asks for, [`View`] is what is on the screen and takes keys, [`draw`](draw::draw) paints
//! it. Who has the terminal, the trace or the log is the command line.

mod columns;
pub mod draw;
pub mod plain;
pub mod rows;
mod ruler;
mod state;
mod view;

#[cfg(test)]
mod tests;

pub use columns::{Arrangement, Column};
pub use ruler::Ruler;
pub use state::{Seen, Shown, State};
pub use view::{Act, Seek, View};
