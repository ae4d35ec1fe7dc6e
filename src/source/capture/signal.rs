//! The states of a capture and what leads from one to the next.
