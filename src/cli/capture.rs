//! `framegate capture`: frames of one device into files, for an engineer with a laptop.
