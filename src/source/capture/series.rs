//! When a series of captured frames begins and ends.
