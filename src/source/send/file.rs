//! A part that is a Part 10 file: File Meta Information first, which says what the data set behind
//! it is and in which transfer syntax.

use bytes::Bytes;

use super::failure::Failure;
use super::object::{Object, Outlet};
use super::report::Reference;
use crate::config::settings::SendSettings;
use crate::instance::Uid;
use crate::instance::part10::{FileMeta, MetaReader};

/// A file on its way in.
#[derive(Debug)]
pub(super) struct File {
    /// Transfer syntax by the part's media type, for a file that does not say.
    named_syntax: Option<Uid>,
    /// Bytes of the file, where they are known beforehand.
    length: Option<usize>,
    reading: Reading,
    of: Option<Reference>,
}

#[derive(Debug)]
enum Reading {
    Meta(MetaReader),
    DataSet(Box<Object>),
}

impl File {
    pub(super) fn new(named_syntax: Option<Uid>, length: Option<usize>) -> Self {
        Self { named_syntax, length, reading: Reading::Meta(MetaReader::default()), of: None }
    }

    /// Which object it is, once that is known.
    pub(super) fn of(&self) -> Option<&Reference> {
        self.of.as_ref()
    }

    pub(super) async fn feed(&mut self, mut bytes: Bytes, outlet: &mut Outlet) -> Result<(), Failure> {
        if let Reading::Meta(reader) = &mut self.reading {
            let Some(meta) = reader.read(&mut bytes)? else { return Ok(()) };
            self.reading = Reading::DataSet(Box::new(self.begin(meta, &outlet.settings)?));
        }
        match &mut self.reading {
            Reading::DataSet(object) => object.feed(&bytes, outlet).await,
            Reading::Meta(_) => Ok(()),
        }
    }

    fn begin(&mut self, meta: FileMeta, settings: &SendSettings) -> Result<Object, Failure> {
        let sop_class = meta.sop_class.ok_or(Failure::Lacks("Media Storage SOP Class UID"))?;
        let sop_instance = meta.sop_instance.ok_or(Failure::Lacks("Media Storage SOP Instance UID"))?;
        let of = self.of.insert(Reference { sop_class, sop_instance });
        let transfer_syntax = meta.transfer_syntax.or_else(|| self.named_syntax.take());
        let transfer_syntax = transfer_syntax.ok_or(Failure::Lacks("Transfer Syntax UID"))?;
        Object::begin(of, transfer_syntax, meta.source_ae_title, self.length, settings)
    }

    /// The file's last byte is in. Says which object it was, and whether it became several instances.
    pub(super) async fn end(
        self,
        outlet: &mut Outlet,
    ) -> Result<(Reference, bool), (Option<Reference>, Failure)> {
        match (self.reading, self.of) {
            (Reading::DataSet(object), Some(of)) => match object.end(outlet).await {
                Ok(split) => Ok((of, split)),
                Err(failure) => Err((Some(of), failure)),
            },
            (Reading::Meta(reader), of) => Err((of, reader.end().into())),
            (Reading::DataSet(_), None) => Err((None, Failure::Internal)),
        }
    }
}
