//! What can go wrong with a device, told by what to do about it.
