//! DIMSE and the DICOM upper layer (PS3.7, PS3.8) as far as more than one part of the house speaks it: PDUs
//! read from a stream straight into the buffer where their bytes belong ([`pdu`]), and command sets
//! ([`command`]).

pub mod command;
pub mod pdu;
