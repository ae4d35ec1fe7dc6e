//! A modality: a blocking C-STORE SCU without Nagle's algorithm. Each PDU is one write; the next
//! C-STORE follows the response to the one before.
//!
//! A receiver that leaves Nagle's algorithm on and writes its response in two pieces waits for our
//! acknowledgement in between, which the kernel delays by some 40 ms. [`Acknowledge::AtOnce`] spares
//! it that, so that what is measured is the receiver's work.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResultReason, UserVariableItem,
    read_pdu, write_pdu,
};
use memchr::memmem;
use socket2::SockRef;

use crate::object::{CONTEXT, EXPLICIT_VR_LITTLE_ENDIAN, Message, SOP_CLASS};

/// The largest PDU that we read or write, beside what the peer takes.
const PDU_LIMIT: u32 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// When the sender's kernel acknowledges what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledge {
    /// TCP_QUICKACK before every read.
    AtOnce,
    /// As the kernel likes.
    Delayed,
}

/// An association.
#[derive(Debug)]
pub(crate) struct Sender {
    stream: TcpStream,
    acknowledge: Acknowledge,
    /// Bytes that have come and are not used up.
    ahead: Vec<u8>,
    /// The longest PDU that the peer takes and that we were allowed to send.
    pub(crate) pdu: u32,
}

/// Where the sending of a PDU stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// It is about to be written.
    Due,
    /// All of it is written.
    Done,
}

/// When a message went out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// Before its first byte was written.
    pub(crate) begun: Instant,
    /// After its last byte was written.
    pub(crate) written: Instant,
}

impl Sender {
    /// Opens an association and sends PDUs of at most `pdu` bytes in it.
    pub(crate) fn connect(peer: SocketAddr, pdu: u32, acknowledge: Acknowledge) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(peer)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut this = Self { stream, acknowledge, ahead: Vec::new(), pdu };
        let request = AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "BENCH".to_owned(),
            called_ae_title: "FRAMEGATE".to_owned(),
            application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
            presentation_contexts: vec![PresentationContextProposed {
                id: CONTEXT,
                abstract_syntax: SOP_CLASS.into(),
                transfer_syntaxes: vec![EXPLICIT_VR_LITTLE_ENDIAN.into()],
            }],
            user_variables: vec![
                UserVariableItem::MaxLength(16384),
                UserVariableItem::ImplementationClassUID("2.25.1".to_owned()),
            ],
        };
        let Pdu::AssociationAC(accepted) = this.exchange(&request.into())? else {
            bail!("the association was not accepted");
        };
        let context = accepted.presentation_contexts.first().context("no presentation context")?;
        anyhow::ensure!(context.reason == PresentationContextResultReason::Acceptance, "context refused");
        for variable in &accepted.user_variables {
            if let UserVariableItem::MaxLength(most) = variable
                && *most > 0
            {
                this.pdu = this.pdu.min(*most);
            }
        }
        Ok(this)
    }

    fn exchange(&mut self, pdu: &Pdu) -> anyhow::Result<Pdu> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu)?;
        self.stream.write_all(&bytes)?;
        self.receive()
    }

    fn receive(&mut self) -> anyhow::Result<Pdu> {
        let mut buffer = [0; 4096];
        loop {
            let mut rest = &self.ahead[..];
            if let Some(pdu) = read_pdu(&mut rest, PDU_LIMIT, false)? {
                self.ahead = rest.to_vec();
                return Ok(pdu);
            }
            if self.acknowledge == Acknowledge::AtOnce {
                SockRef::from(&self.stream).set_tcp_quickack(true)?;
            }
            let read = self.stream.read(&mut buffer)?;
            anyhow::ensure!(read > 0, "the peer closed the connection");
            self.ahead.extend_from_slice(buffer.get(..read).unwrap_or_default());
        }
    }

    /// Sends a C-STORE and takes its response, which must be Success.
    pub(crate) fn store(&mut self, message: &Message) -> anyhow::Result<Sent> {
        let begun = Instant::now();
        let mut written = begun;
        self.store_with(message, |_, write| {
            if write == Write::Done {
                written = Instant::now();
            }
        })?;
        Ok(Sent { begun, written })
    }

    /// The same; `on_write` is called around the write of each PDU with its index.
    pub(crate) fn store_with(
        &mut self,
        message: &Message,
        mut on_write: impl FnMut(usize, Write),
    ) -> anyhow::Result<()> {
        for (index, pdu) in message.pdus().enumerate() {
            on_write(index, Write::Due);
            self.stream.write_all(pdu)?;
            on_write(index, Write::Done);
        }
        let Pdu::PData { data } = self.receive()? else { bail!("no response to a C-STORE") };
        let response = data.first().context("an empty response")?;
        // Status (0000,0900), 2 bytes, in Implicit VR Little Endian: Success.
        let success = [0, 0, 0, 9, 2, 0, 0, 0, 0, 0];
        anyhow::ensure!(memmem::find(&response.data, &success).is_some(), "a C-STORE did not succeed");
        Ok(())
    }

    /// Ends the association.
    pub(crate) fn release(mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.exchange(&Pdu::ReleaseRQ)? == Pdu::ReleaseRP, "the release was not answered");
        Ok(())
    }
}
