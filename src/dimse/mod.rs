//! DIMSE and the DICOM upper layer (PS3.7, PS3.8) as far as more than one part of the house speaks it: PDUs
//! read from a stream straight into the buffer where their bytes belong ([`pdu`]), command sets that others
//! send us ([`command`]), associations that we open ([`scu`]), and the data [`element`]s of what goes over
//! them.

pub mod command;
pub mod echo;
pub mod element;
pub(crate) mod events;
pub mod pdu;
pub mod scu;
