//! Makes the instance of one frame: the splitter's data set, written with its own File Meta
//! Information, and the pixels as they came.

use bytes::Bytes;

use super::AssembleError;
use crate::instance::encode::{self, PixelValue};
use crate::instance::split::{self, Splitter};
use crate::instance::{Identity, Instance, Pieces, PixelForm, Uid};

/// Makes the instance of one frame of a multi-frame object.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) splitter: Splitter,
    pub(super) study: Uid,
    pub(super) series: Uid,
    pub(super) transfer_syntax: Uid,
    pub(super) source_ae_title: Option<String>,
    pub(super) first_number: i32,
}

impl Maker {
    /// `frame` counts from 1.
    pub(super) fn make(
        &self,
        frame: u32,
        value: PixelValue,
        pixels: Bytes,
    ) -> Result<Instance, AssembleError> {
        let number = self.first_number.saturating_add_unsigned(frame - 1);
        let split::Frame { dataset, sop_instance_uid } = self.splitter.frame(frame, number)?;
        let sop_class = self.splitter.sop_class();
        let meta = encode::file_meta(
            &self.transfer_syntax,
            sop_class,
            &sop_instance_uid,
            self.source_ae_title.as_deref(),
        )?;
        let head = encode::head(meta, &dataset, value)?;
        let (form, tail) = match value {
            PixelValue::Native(tag, vr, length) => (PixelForm::Native(tag, vr), encode::native_tail(length)),
            PixelValue::Encapsulated => {
                (PixelForm::Encapsulated, Bytes::from_static(&encode::SEQUENCE_DELIMITER))
            }
            PixelValue::None => (PixelForm::Absent, Bytes::new()),
        };
        Ok(Instance::new(Pieces {
            identity: Identity {
                study: self.study.clone(),
                series: self.series.clone(),
                sop_class: sop_class.into(),
                sop_instance: sop_instance_uid.into(),
            },
            number: Some(number),
            transfer_syntax: self.transfer_syntax.clone(),
            head: head.bytes.freeze(),
            dataset_start: head.dataset_start,
            dataset_end: head.dataset_end,
            form,
            pixels,
            tail,
        }))
    }
}
