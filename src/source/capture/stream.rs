//! Buffers shared with the driver, and the frames in them.
