//! The requests of V4L2 that no crate wraps: the only unsafe code of the crate.
