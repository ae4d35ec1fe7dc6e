//! framegate: an edge gateway that turns what a modality shows or sends into single-frame DICOM
//! SOP Instances and streams them over DICOMweb while the run is still being acquired.
//!
//! Everything flows one way, and the modules stand in that order: a **source** yields frames or
//! instances, the **hub** keeps the latest of every live series in a bounded ring, and the sinks
//! read from there. `ARCHITECTURE.md` is the code map.

pub mod audit;
pub mod cli;
pub mod config;
pub mod console;
pub mod context;
pub mod dicomweb;
pub mod dimse;
pub mod event;
pub mod frame;
pub mod hub;
pub mod identity;
pub mod instance;
pub mod net;
pub mod procedure;
pub mod service;
pub mod sink;
pub mod source;
pub mod spool;
pub mod status;
pub mod subscription;
