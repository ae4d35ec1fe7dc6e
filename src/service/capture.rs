//! The captures themselves: who starts them, and how they end.
