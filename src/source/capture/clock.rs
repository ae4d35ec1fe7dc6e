//! Whether the system clock is synchronised, and by whom.
