//! Puts events in the order of their time and notices losses.
