//! One notification over one association: connect, N-CREATE, release. The association is dicom-ul's; the
//! message is small and rare, so none of the reasons for which `source::dimse` reads its own PDUs holds
//! here.

use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::ClientAssociationOptions;
use dicom_ul::association::Error as UpperLayerError;
use dicom_ul::association::client::AsyncClientAssociation;
use dicom_ul::pdu::{AssociationRJResult, PDataValue, PDataValueType, Pdu};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::notice::{Notice, encoded, encoded_command, read_response};
use crate::config::settings::AvailabilitySettings;
use crate::instance::Uid;
use crate::net::tls::TlsError;

/// For TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(5);
/// For the peer to take or give the next PDU.
const SILENCE: Duration = Duration::from_secs(10);
/// For the whole of one try.
const WHOLE: Duration = Duration::from_secs(60);
/// The largest PDU that we take (bytes), and the largest that we make, whatever the peer could take.
const PDU_BYTES: u32 = 64 << 10;
/// What a PDV costs besides its fragment (bytes, PS3.8 §9.3.5.1).
const PDV_OVERHEAD: u32 = 6;
/// Bytes of a response, command set and data set together.
const RESPONSE_BYTES: usize = 1 << 20;

/// Why a notification did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotifyError {
    #[error("it does not answer in time")]
    Timeout,
    #[error("no connection: {0}")]
    Connect(String),
    #[error(transparent)]
    Files(#[from] TlsError),
    #[error("it rejects the association: {reason}")]
    Rejected { reason: String, lasting: bool },
    #[error("it does not support the Instance Availability Notification SOP Class")]
    NotSupported,
    #[error("it breaks the protocol: {0}")]
    Protocol(&'static str),
    #[error("it answers the N-CREATE with status {0:04X}H")]
    Status(u16),
    #[error("the notification cannot be encoded")]
    Encode,
}

impl NotifyError {
    /// Whether trying again is of no use.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Rejected { lasting, .. } => *lasting,
            Self::NotSupported | Self::Encode => true,
            // Processing failure and resource limitation pass (PS3.7 Annex C).
            Self::Status(status) => !matches!(status, 0x0110 | 0x0213),
            Self::Timeout | Self::Connect(_) | Self::Files(_) | Self::Protocol(_) => false,
        }
    }
}

impl From<UpperLayerError> for NotifyError {
    /// Says less than the library, which prints PDUs.
    fn from(error: UpperLayerError) -> Self {
        use UpperLayerError as E;
        match error {
            E::ToAddress { source, .. }
            | E::Connect { source, .. }
            | E::TlsHandshake { source, .. }
            | E::WireSend { source, .. }
            | E::WireRead { source, .. } => Self::Connect(source.to_string()),
            E::InvalidServerName { .. } => Self::Connect("its address is no name for TLS".to_owned()),
            E::TlsNotSupported => Self::Connect("it wants TLS".to_owned()),
            E::ConnectionClosed { .. } | E::Aborted { .. } => Self::Connect("it hung up".to_owned()),
            E::Rejected { association_rj, .. } => Self::Rejected {
                reason: association_rj.source.to_string(),
                lasting: association_rj.result == AssociationRJResult::Permanent,
            },
            E::NoAcceptedPresentationContexts { .. } => Self::NotSupported,
            E::Timeout { .. } => Self::Timeout,
            E::ReceivePdu { .. } => Self::Protocol("no valid PDU"),
            _ => Self::Protocol("a PDU out of order"),
        }
    }
}

/// Tells one peer. With `tls` the connection is encrypted.
///
/// # Errors
/// When it has not said that it knows.
pub(super) async fn notify(
    peer: &AvailabilitySettings,
    tls: Option<Arc<ClientConfig>>,
    notice: &Notice,
) -> Result<(), NotifyError> {
    let whole = async {
        let options = ClientAssociationOptions::new()
            .calling_ae_title(peer.calling_ae_title.as_str())
            .called_ae_title(peer.ae_title.as_str())
            .with_abstract_syntax(uids::INSTANCE_AVAILABILITY_NOTIFICATION)
            .max_pdu_length(PDU_BYTES)
            .connection_timeout(CONNECT)
            .read_timeout(SILENCE)
            .write_timeout(SILENCE);
        match tls {
            None => {
                let association = options.establish_async(peer.address.as_str()).await?;
                create(association, peer, notice).await
            }
            Some(config) => {
                let options = options.tls_config(config).server_name(host(&peer.address));
                let association = options.establish_tls_async(peer.address.as_str()).await?;
                create(association, peer, notice).await
            }
        }
    };
    tokio::time::timeout(WHOLE, Box::pin(whole)).await.unwrap_or(Err(NotifyError::Timeout))
}

/// The host of `host:port`, an IPv6 address without its brackets.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn create<S: AsyncRead + AsyncWrite + Unpin + Send>(
    mut association: AsyncClientAssociation<S>,
    peer: &AvailabilitySettings,
    notice: &Notice,
) -> Result<(), NotifyError> {
    let context = association.presentation_contexts().first().ok_or(NotifyError::NotSupported)?;
    let (context, syntax) = (context.id, Uid::from(context.transfer_syntax.trim_end_matches('\0')));
    let command = encoded_command(&notice.command()).ok_or(NotifyError::Encode)?;
    let dataset = encoded(&notice.dataset(peer), &syntax).ok_or(NotifyError::Encode)?;
    send(&mut association, context, PDataValueType::Command, &command).await?;
    send(&mut association, context, PDataValueType::Data, &dataset).await?;
    let status = response(&mut association).await?;
    // The answer is what counts; a peer that is clumsy about the release has it all the same.
    let _ = association.release().await;
    match status {
        // Success, and its warnings: attribute list error, attribute value out of range (PS3.7 §10.1.5.1.6).
        0x0000 | 0x0001 | 0x0107 | 0x0116 => Ok(()),
        // Duplicate SOP Instance: a try before this one arrived, and only its answer was lost.
        0x0111 => Ok(()),
        status => Err(NotifyError::Status(status)),
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin + Send>(
    association: &mut AsyncClientAssociation<S>,
    context: u8,
    value_type: PDataValueType,
    bytes: &[u8],
) -> Result<(), NotifyError> {
    let room = association.acceptor_max_pdu_length().min(PDU_BYTES).saturating_sub(PDV_OVERHEAD);
    if room == 0 {
        return Err(NotifyError::Protocol("its largest PDU holds nothing"));
    }
    let mut fragments = bytes.chunks(room as usize).peekable();
    while let Some(fragment) = fragments.next() {
        let value = PDataValue {
            presentation_context_id: context,
            value_type: value_type.clone(),
            is_last: fragments.peek().is_none(),
            data: fragment.to_vec(),
        };
        association.send(&Pdu::PData { data: vec![value] }).await?;
    }
    Ok(())
}

/// Reads the response, with the data set that it may have, and gives its status.
async fn response<S: AsyncRead + AsyncWrite + Unpin + Send>(
    association: &mut AsyncClientAssociation<S>,
) -> Result<u16, NotifyError> {
    let mut command = Vec::new();
    let mut status = None;
    let mut taken = 0;
    loop {
        let Pdu::PData { data } = association.receive().await? else {
            return Err(NotifyError::Protocol("a PDU that is no response"));
        };
        for value in data {
            taken += value.data.len();
            if taken > RESPONSE_BYTES {
                return Err(NotifyError::Protocol("its response is too long"));
            }
            match (value.value_type, status) {
                (PDataValueType::Command, None) => {
                    command.extend_from_slice(&value.data);
                    if value.is_last {
                        let (code, data_set) =
                            read_response(&command).ok_or(NotifyError::Protocol("no N-CREATE-RSP"))?;
                        if !data_set {
                            return Ok(code);
                        }
                        status = Some(code);
                    }
                }
                (PDataValueType::Data, Some(code)) if value.is_last => return Ok(code),
                (PDataValueType::Data, Some(_)) => {}
                _ => return Err(NotifyError::Protocol("fragments out of order")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_is_what_tls_names() {
        assert_eq!(host("ris.example:2762"), "ris.example");
        assert_eq!(host("192.0.2.1:104"), "192.0.2.1");
        assert_eq!(host("[2001:db8::1]:104"), "2001:db8::1");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(!NotifyError::Timeout.is_lasting());
        assert!(!NotifyError::Status(0x0213).is_lasting());
        assert!(NotifyError::Status(0x0124).is_lasting());
        assert!(NotifyError::NotSupported.is_lasting());
    }
}
