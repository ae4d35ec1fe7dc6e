//! Whether a frame differs from the one before, and by how much.
