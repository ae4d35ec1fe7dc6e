//! Associations that we open, as an SCU: connect with deadlines, over TLS where that is asked for, send a
//! request with its data set, read the responses. [`Peer`] says whom to connect to, [`Peer::associate`]
//! connects, [`Association::ask`] and [`Association::answer`] are one message each.
//!
//! The association is dicom-ul's: what goes over it is small and rare, so that none of the reasons for which
//! [`super::pdu`] reads PDUs itself holds here. Every wait and every length is bounded. No error holds
//! anything of what a peer sent, since the library's would print whole PDUs.

mod error;
mod message;

use std::sync::Arc;
use std::time::Duration;

use dicom_ul::ClientAssociationOptions;
use dicom_ul::association::client::{AsyncClientAssociation, AsyncTlsStream};
use dicom_ul::pdu::{
    PDataValue, PDataValueType, Pdu, PresentationContextNegotiated, PresentationContextResultReason,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;

pub use self::error::ScuError;
pub use self::message::Operation;
use self::message::{Response, cancel};
pub(super) use self::message::{encoded, read_response};
use super::events;
use super::pdu::PDV_OVERHEAD;
use crate::config::settings::DimsePeer;
use crate::instance::{Dataset, DecodeError, IMPLICIT_VR_LITTLE_ENDIAN, Uid, decode};
use crate::net::tls::{ClientTls, DICOM_ALPN, host};

/// For TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(5);
/// For the peer to take or give the next PDU.
const SILENCE: Duration = Duration::from_secs(10);
/// The largest PDU that we take (bytes), and the largest that we make, whatever the peer could take.
const PDU_BYTES: u32 = 64 << 10;
/// Bytes of one response, command set and data set together.
const RESPONSE_BYTES: usize = 1 << 20;

/// A SOP class that an association is to be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SopClass {
    /// SOP Class UID.
    pub uid: &'static str,
    /// Its name in PS3.6, for messages.
    pub name: &'static str,
}

/// Whom to open associations to. Its certificate files are followed: one that is replaced counts from the
/// next association on.
#[derive(Debug)]
pub struct Peer {
    settings: DimsePeer,
    tls: Option<Arc<ClientTls>>,
}

impl Peer {
    /// Reads and opens nothing yet.
    pub fn new(settings: DimsePeer) -> Self {
        let tls = settings.tls.as_ref().map(|tls| Arc::new(ClientTls::of(tls, DICOM_ALPN)));
        Self { settings, tls }
    }

    /// Address, AE titles and files.
    pub fn settings(&self) -> &DimsePeer {
        &self.settings
    }

    /// Opens an association with a presentation context for each of `classes`, each in Explicit and Implicit
    /// VR Little Endian.
    ///
    /// # Errors
    /// When there is no association, or the peer accepts no context.
    pub async fn associate(&self, classes: &[SopClass]) -> Result<Association, ScuError> {
        let tls = match self.tls.clone() {
            None => None,
            Some(tls) => {
                let read = tokio::task::spawn_blocking(move || tls.current()).await;
                Some(read.map_err(|error| ScuError::Connect(error.to_string()))??)
            }
        };
        // On the heap: the state of a TLS handshake is large.
        let link = Box::pin(self.establish(classes, tls)).await;
        let link = link.map_err(|error| match (error, classes) {
            (ScuError::NotSupported(_), [only]) => ScuError::NotSupported(only.name),
            (error, _) => error,
        })?;
        Ok(Association { link, asked: 0, command: Vec::new(), dataset: Vec::new(), queued: None })
    }

    async fn establish(
        &self,
        classes: &[SopClass],
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Link, ScuError> {
        let mut options = ClientAssociationOptions::new()
            .calling_ae_title(self.settings.calling_ae_title.as_str())
            .called_ae_title(self.settings.ae_title.as_str())
            .max_pdu_length(PDU_BYTES)
            .connection_timeout(CONNECT)
            .read_timeout(SILENCE)
            .write_timeout(SILENCE);
        for class in classes {
            options = options.with_abstract_syntax(class.uid);
        }
        let address = self.settings.address.as_str();
        Ok(match tls {
            None => Link::Plain(Box::new(options.establish_async(address).await?)),
            Some(config) => {
                let options = options.tls_config(config).server_name(host(address));
                Link::Tls(Box::new(options.establish_tls_async(address).await?))
            }
        })
    }
}

/// The library's association, plain or over TLS.
enum Link {
    Plain(Box<AsyncClientAssociation<TcpStream>>),
    Tls(Box<AsyncClientAssociation<AsyncTlsStream>>),
}

impl Link {
    fn contexts(&self) -> &[PresentationContextNegotiated] {
        match self {
            Self::Plain(link) => link.presentation_contexts(),
            Self::Tls(link) => link.presentation_contexts(),
        }
    }

    /// Bytes of the largest PDU that the peer takes.
    fn room(&self) -> u32 {
        match self {
            Self::Plain(link) => link.acceptor_max_pdu_length(),
            Self::Tls(link) => link.acceptor_max_pdu_length(),
        }
    }

    async fn send(&mut self, pdu: &Pdu) -> Result<(), ScuError> {
        match self {
            Self::Plain(link) => link.send(pdu).await?,
            Self::Tls(link) => link.send(pdu).await?,
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<Pdu, ScuError> {
        Ok(match self {
            Self::Plain(link) => link.receive().await?,
            Self::Tls(link) => link.receive().await?,
        })
    }
}

/// One response.
#[derive(Debug)]
pub struct Answer {
    /// Status (0000,0900).
    pub status: u16,
    /// Error ID (0000,0903), where there is one.
    pub error_id: Option<u16>,
    dataset: Option<(Vec<u8>, Uid)>,
}

impl Answer {
    /// More responses follow (PS3.7 §9.1.2.1.5: FF00H and FF01H).
    pub fn is_pending(&self) -> bool {
        matches!(self.status, 0xFF00 | 0xFF01)
    }

    /// Its data set; `None` where it has none.
    ///
    /// # Errors
    /// When what the peer sent is no data set.
    pub fn dataset(&self) -> Option<Result<Dataset, DecodeError>> {
        self.dataset.as_ref().map(|(bytes, syntax)| decode(bytes, syntax))
    }
}

/// An open association. Dropping it without [`Association::release`] closes the connection.
pub struct Association {
    link: Link,
    /// The Message ID of the last request.
    asked: u16,
    /// What of the response that is being read is there already.
    command: Vec<u8>,
    dataset: Vec<u8>,
    /// Values of the last PDU that are not looked at yet.
    queued: Option<std::vec::IntoIter<PDataValue>>,
}

impl std::fmt::Debug for Association {
    /// What passes over it is PHI.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Association").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Association {
    /// Sends a request about `class`, with its data set. Gives its Message ID.
    ///
    /// # Errors
    /// When the peer did not accept the class, does not take the request, or `dataset` cannot be written.
    pub async fn ask(
        &mut self,
        class: SopClass,
        operation: Operation<'_>,
        dataset: Option<&Dataset>,
    ) -> Result<u16, ScuError> {
        let (context, syntax) = self.context(class)?;
        self.asked = self.asked.wrapping_add(1);
        let command = operation.command(class.uid, self.asked, dataset.is_some());
        let command = encoded(&command, IMPLICIT_VR_LITTLE_ENDIAN).ok_or(ScuError::Encode)?;
        let dataset = dataset.map(|dataset| encoded(dataset, &syntax).ok_or(ScuError::Encode)).transpose()?;
        self.send(context, &PDataValueType::Command, &command).await?;
        if let Some(dataset) = dataset {
            self.send(context, &PDataValueType::Data, &dataset).await?;
        }
        Ok(self.asked)
    }

    /// Asks the peer to end a C-FIND early (C-CANCEL-RQ, PS3.7 §9.3.2.3). Its last response still comes.
    ///
    /// # Errors
    /// When the peer does not take it.
    pub async fn cancel(&mut self, class: SopClass, message: u16) -> Result<(), ScuError> {
        let (context, _) = self.context(class)?;
        let set = encoded(&cancel(message), IMPLICIT_VR_LITTLE_ENDIAN).ok_or(ScuError::Encode)?;
        self.send(context, &PDataValueType::Command, &set).await
    }

    /// The next response to the last request, with the data set that it may have.
    ///
    /// # Errors
    /// When none comes, or something else.
    pub async fn answer(&mut self, operation: Operation<'_>) -> Result<Answer, ScuError> {
        self.command.clear();
        self.dataset.clear();
        let mut response: Option<Response> = None;
        loop {
            let value = self.next_value().await?;
            if self.command.len() + self.dataset.len() + value.data.len() > RESPONSE_BYTES {
                return Err(ScuError::Protocol("its response is too long"));
            }
            match (value.value_type, response) {
                (PDataValueType::Command, None) => {
                    self.command.extend_from_slice(&value.data);
                    if !value.is_last {
                        continue;
                    }
                    let read = read_response(&self.command).ok_or(ScuError::Protocol("no response"))?;
                    if !read.answers(operation, self.asked) {
                        return Err(ScuError::Protocol("a response to something else"));
                    }
                    if !read.data_set {
                        return Ok(Answer { status: read.status, error_id: read.error_id, dataset: None });
                    }
                    response = Some(read);
                }
                (PDataValueType::Data, Some(read)) => {
                    self.dataset.extend_from_slice(&value.data);
                    if value.is_last {
                        let context = value.presentation_context_id;
                        let known = self.link.contexts().iter().find(|known| known.id == context);
                        let syntax = known.ok_or(ScuError::Protocol("a presentation context of its own"))?;
                        let syntax = Uid::from(syntax.transfer_syntax.trim_end_matches('\0'));
                        return Ok(Answer {
                            status: read.status,
                            error_id: read.error_id,
                            dataset: Some((std::mem::take(&mut self.dataset), syntax)),
                        });
                    }
                }
                _ => return Err(ScuError::Protocol("fragments out of order")),
            }
        }
    }

    /// Says goodbye. Whether the peer does is of no consequence: what was asked has been answered.
    pub async fn release(self) {
        let released = match self.link {
            Link::Plain(link) => link.release().await,
            Link::Tls(link) => link.release().await,
        };
        if released.is_err() {
            events::ClumsyRelease {}.tell();
        }
    }

    /// The context that was accepted for a class, and its transfer syntax.
    fn context(&self, class: SopClass) -> Result<(u8, Uid), ScuError> {
        let accepted = self.link.contexts().iter().find(|context| {
            context.reason == PresentationContextResultReason::Acceptance
                && context.abstract_syntax.trim_end_matches('\0') == class.uid
        });
        let accepted = accepted.ok_or(ScuError::NotSupported(class.name))?;
        Ok((accepted.id, Uid::from(accepted.transfer_syntax.trim_end_matches('\0'))))
    }

    async fn send(&mut self, context: u8, kind: &PDataValueType, bytes: &[u8]) -> Result<(), ScuError> {
        let room = self.link.room().min(PDU_BYTES).saturating_sub(PDV_OVERHEAD as u32);
        if room == 0 {
            return Err(ScuError::Protocol("its largest PDU holds nothing"));
        }
        let mut fragments = bytes.chunks(room as usize).peekable();
        while let Some(fragment) = fragments.next() {
            let value = PDataValue {
                presentation_context_id: context,
                value_type: kind.clone(),
                is_last: fragments.peek().is_none(),
                data: fragment.to_vec(),
            };
            self.link.send(&Pdu::PData { data: vec![value] }).await?;
        }
        Ok(())
    }

    async fn next_value(&mut self) -> Result<PDataValue, ScuError> {
        loop {
            if let Some(value) = self.queued.as_mut().and_then(Iterator::next) {
                return Ok(value);
            }
            match self.link.receive().await? {
                Pdu::PData { data } => self.queued = Some(data.into_iter()),
                Pdu::AbortRQ { .. } => return Err(ScuError::Connect("it hung up".to_owned())),
                _ => return Err(ScuError::Protocol("a PDU that is no response")),
            }
        }
    }
}

#[cfg(test)]
mod tests;
