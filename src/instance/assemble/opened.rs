//! What is known of an object once its head is in: which instance it is, of which series.

use bytes::Bytes;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;

use super::AssembleError;
use super::syntax::kept_syntax;
use crate::instance::scan::{Found, Key};
use crate::instance::{Dataset, DecodeError, Identity, Uid, is_uid};

/// Groups below belong to command sets, File Meta Information and DICOMDIRs, never to a data set
/// (PS3.5 §7.1): behind our own File Meta Information they would be taken for a part of it.
pub(super) const FIRST_GROUP: u16 = 0x0008;

/// The object that is arriving.
pub struct Opened {
    /// Its own UIDs (not those of the frames it may be split into).
    pub identity: Identity,
    /// How many instances it will become.
    pub instances: u32,
    pub(super) head: Bytes,
    pub(super) transfer_syntax: Uid,
}

impl std::fmt::Debug for Opened {
    /// Shows what it is of; the data set is PHI.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Opened {
    /// Decodes the data set before Pixel Data, for the context of a new series. Available Transfer
    /// Syntax UID (0008,3002) says what its instances will be in.
    ///
    /// # Errors
    /// When the bytes are not a data set.
    pub fn dataset(&self) -> Result<Dataset, DecodeError> {
        let mut dataset = crate::instance::decode(&self.head, &self.transfer_syntax)?;
        let syntax = PrimitiveValue::from(kept_syntax(&self.transfer_syntax));
        dataset.put(DataElement::new(tags::AVAILABLE_TRANSFER_SYNTAX_UID, VR::UI, syntax));
        Ok(dataset)
    }
}

/// Reads the identifying UIDs and holds them to PS3.5 §9.
pub(super) fn identity(found: &Found, dataset: &[u8]) -> Result<Identity, AssembleError> {
    let uid = |key, name| {
        let text = found.text(key, dataset).ok_or(AssembleError::Attribute(name))?;
        if is_uid(text) { Ok(Uid::from(text)) } else { Err(AssembleError::Attribute(name)) }
    };
    Ok(Identity {
        study: uid(Key::Study, "Study Instance UID")?,
        series: uid(Key::Series, "Series Instance UID")?,
        sop_class: uid(Key::SopClass, "SOP Class UID")?,
        sop_instance: uid(Key::SopInstance, "SOP Instance UID")?,
    })
}
