//! The events of a device, on a descriptor of their own.
