//! single-frame SOP Instances
