//! Sequence numbers of the driver become Instance Numbers.
