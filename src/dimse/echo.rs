//! A C-ECHO over a connection that is there already (PS3.7 §9.1.5, PS3.4 Annex A): one association, one question,
//! its answer, release. [`super::scu`] opens connections itself; here the caller does, and may so say beforehand
//! where it comes from.
//!
//! Every length is bounded; the caller bounds the time. No error holds anything of what the peer sent.

use dicom_ul::pdu::{
    AssociationRQ, PDataValueType, Pdu, PresentationContextProposed, PresentationContextResultReason,
    UserVariableItem, read_pdu, write_pdu,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::command::VERIFICATION;
use super::pdu::command_pdu;
use super::scu::{Operation, ScuError, encoded, read_response};
use crate::instance::IMPLICIT_VR_LITTLE_ENDIAN;
use crate::instance::encode::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};

/// The largest PDU that we take (bytes).
const PDU_BYTES: u32 = 16 << 10;
/// Bytes before the content of a PDU: type, reserved, length (PS3.8 §9.3.1).
const PDU_HEADER: usize = 6;
/// The DICOM Application Context Name (PS3.7 §A.2.1).
const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
const CONTEXT: u8 = 1;
const MESSAGE: u16 = 1;

/// Asks the peer at the other end of `stream`, as `calling`, whether `called` is there.
///
/// # Errors
/// When there is no association, or the answer is anything but success.
pub async fn echo<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    called: &str,
    calling: &str,
) -> Result<(), ScuError> {
    send(&mut stream, &request(called, calling)).await?;
    match receive(&mut stream).await? {
        Pdu::AssociationAC(answer) => {
            let accepted = answer.presentation_contexts.iter().any(|context| {
                context.id == CONTEXT && context.reason == PresentationContextResultReason::Acceptance
            });
            if !accepted {
                return Err(ScuError::NotSupported("Verification"));
            }
        }
        Pdu::AssociationRJ(rejected) => return Err(rejected.into()),
        Pdu::AbortRQ { .. } => return Err(hung_up()),
        _ => return Err(ScuError::Protocol("a PDU that is no answer to A-ASSOCIATE")),
    }
    let command = encoded(&Operation::Echo.command(VERIFICATION, MESSAGE, false), IMPLICIT_VR_LITTLE_ENDIAN)
        .ok_or(ScuError::Encode)?;
    write(&mut stream, &command_pdu(CONTEXT, &command)).await?;
    let mut response = Vec::new();
    'response: loop {
        match receive(&mut stream).await? {
            Pdu::PData { data } => {
                for value in data {
                    if value.value_type != PDataValueType::Command {
                        return Err(ScuError::Protocol("a data set in the response to a C-ECHO"));
                    }
                    response.extend_from_slice(&value.data);
                    if value.is_last {
                        break 'response;
                    }
                    if response.len() > PDU_BYTES as usize {
                        return Err(ScuError::Protocol("its response is too long"));
                    }
                }
            }
            Pdu::AbortRQ { .. } => return Err(hung_up()),
            _ => return Err(ScuError::Protocol("a PDU that is no response")),
        }
    }
    let response = read_response(&response).ok_or(ScuError::Protocol("no response"))?;
    if !response.answers(Operation::Echo, MESSAGE) {
        return Err(ScuError::Protocol("a response to something else"));
    }
    if response.status != 0 {
        return Err(ScuError::Status { operation: Operation::Echo.name(), status: response.status });
    }
    // What was asked has been answered; how the peer says goodbye is of no consequence.
    send(&mut stream, &Pdu::ReleaseRQ).await?;
    let _ = receive(&mut stream).await;
    Ok(())
}

fn request(called: &str, calling: &str) -> Pdu {
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_owned(),
        called_ae_title: called.to_owned(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![PresentationContextProposed {
            id: CONTEXT,
            abstract_syntax: VERIFICATION.to_owned(),
            transfer_syntaxes: vec![IMPLICIT_VR_LITTLE_ENDIAN.to_owned()],
        }],
        user_variables: vec![
            UserVariableItem::MaxLength(PDU_BYTES),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
        ],
    })
}

fn hung_up() -> ScuError {
    ScuError::Connect("it hung up".to_owned())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, pdu: &Pdu) -> Result<(), ScuError> {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).map_err(|_| ScuError::Encode)?;
    write(stream, &bytes).await
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), ScuError> {
    let written = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    written.await.map_err(|error| ScuError::Connect(error.to_string()))
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Pdu, ScuError> {
    let broken = |error: std::io::Error| ScuError::Connect(error.to_string());
    let mut pdu = vec![0; PDU_HEADER];
    stream.read_exact(&mut pdu).await.map_err(broken)?;
    let length = pdu.last_chunk::<4>().copied().map_or(0, u32::from_be_bytes);
    if length > PDU_BYTES {
        return Err(ScuError::Protocol("a PDU that is too long"));
    }
    pdu.resize(PDU_HEADER + length as usize, 0);
    stream.read_exact(pdu.get_mut(PDU_HEADER..).unwrap_or_default()).await.map_err(broken)?;
    match read_pdu(pdu.as_slice(), PDU_BYTES, true) {
        Ok(Some(pdu)) => Ok(pdu),
        _ => Err(ScuError::Protocol("no valid PDU")),
    }
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::tags;
    use dicom_ul::association::server::ServerAssociationOptions;
    use dicom_ul::pdu::PDataValue;
    use proptest::prelude::*;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::command::{NO_DATA_SET, RESPONSE};
    use super::super::element::number;
    use super::*;
    use crate::instance::Dataset;

    fn answer(status: u16, message: u16) -> Vec<u8> {
        let set = Dataset::command_from_element_iter([
            number(tags::COMMAND_FIELD, Operation::Echo.field() | RESPONSE),
            number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message),
            number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET),
            number(tags::STATUS, status),
        ]);
        encoded(&set, IMPLICIT_VR_LITTLE_ENDIAN).unwrap()
    }

    /// What comes of asking the library's own server, which answers with `response`.
    async fn asked(class: &'static str, response: Vec<u8>) -> Result<(), ScuError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let options = ServerAssociationOptions::new().accept_called_ae_title().ae_title("GATE");
            let served = options.with_abstract_syntax(class).establish_async(stream).await;
            let Ok(mut association) = served else { return };
            let Ok(Pdu::PData { .. }) = association.receive().await else { return };
            let value = PDataValue {
                presentation_context_id: CONTEXT,
                value_type: PDataValueType::Command,
                is_last: true,
                data: response,
            };
            association.send(&Pdu::PData { data: vec![value] }).await.unwrap();
            if matches!(association.receive().await, Ok(Pdu::ReleaseRQ)) {
                association.send(&Pdu::ReleaseRP).await.unwrap();
            }
        };
        let ask = async { echo(TcpStream::connect(address).await.unwrap(), "GATE", "SELF").await };
        tokio::join!(ask, serve).0
    }

    #[tokio::test]
    async fn success_alone_is_good() {
        asked(VERIFICATION, answer(0, MESSAGE)).await.unwrap();
        let failed = asked(VERIFICATION, answer(0x0122, MESSAGE)).await;
        assert!(matches!(failed, Err(ScuError::Status { operation: "C-ECHO", status: 0x0122 })));
        assert!(matches!(asked(VERIFICATION, answer(0, 7)).await, Err(ScuError::Protocol(_))));
        assert!(matches!(asked(VERIFICATION, vec![1, 2, 3]).await, Err(ScuError::Protocol(_))));
        assert!(asked("1.2.840.10008.5.1.4.1.1.7", answer(0, MESSAGE)).await.is_err());
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let said = block_on(async {
                let (ours, mut theirs) = tokio::io::duplex(64 << 10);
                theirs.write_all(&bytes).await.unwrap();
                theirs.shutdown().await.unwrap();
                echo(ours, "GATE", "SELF").await
            });
            prop_assert!(said.is_err());
        }
    }
}
