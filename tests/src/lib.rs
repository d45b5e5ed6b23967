//! End-to-end tests of forktrace on a real kernel.
