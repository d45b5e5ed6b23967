//! What a living process can still tell, read without stopping it.
