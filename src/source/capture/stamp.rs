//! The driver's monotonic stamps become moments of UTC.
