//! The capture thread.
