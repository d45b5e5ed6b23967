//! Stalls made by hand, and what is said of them.
