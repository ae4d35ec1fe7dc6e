//! DV timings, EDID and the state of an input.
