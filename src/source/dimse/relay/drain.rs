//! What was spooled goes to its upstream once that is back, in the order in which it came, and is removed when the
//! upstream has it.
//!
//! ```text
//!   spool ─► next ─► association (kept while the next one can use it) ─► C-STORE ─┬ success, warning ─► done
//!                                                                               ├ no room, no answer ─► later
//!                                                                               └ refused for good ─► set aside
//! ```

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResultReason, UserVariableItem,
    read_pdu, write_pdu,
};
use tokio::sync::{Notify, mpsc, watch};

use super::super::establish::REQUEST_LIMIT;
use super::super::negotiate::APPLICATION_CONTEXT;
use super::deposit::Meta;
use super::events;
use super::upstream::{self, Answer, Associated, Connection, Modality, Unreachable};
use super::{Relay, Relays};
use crate::dimse::command::{self, C_STORE, Heading, RESPONSE};
use crate::dimse::element::{number, text};
use crate::dimse::pdu::{Next, PDV_OVERHEAD, PduError, PduStream, command_pdu, data_pdu};
use crate::instance::encode::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use crate::net::backoff::BackOff;
use crate::spool::{Entry, Spool};

/// The pause after a first failure.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often what is too old is looked for.
const AGES: Duration = Duration::from_secs(60);
/// For the upstream to answer, or to take more of an object.
const PATIENCE: Duration = Duration::from_secs(60);
/// The largest PDU that we make (bytes), whatever the upstream could take.
const PDU_BYTES: usize = 128 << 10;
/// The largest PDU that we take (bytes): responses alone.
const RESPONSE_BYTES: u32 = 64 << 10;
const CONTEXT: u8 = 1;
/// Status (0000,0900): the SOP class (or its transfer syntax) is not supported.
const NOT_SUPPORTED: u16 = 0x0122;

/// Why an object is still here.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    #[error("its relay is not in the configuration any more")]
    NoRelay,
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("the upstream refuses the association")]
    Rejected,
    #[error("the connection broke: {0}")]
    Broken(#[from] PduError),
    #[error("the upstream breaks the protocol")]
    Protocol,
    #[error("the object cannot be read")]
    Read,
    #[error("the upstream answers with status {0:04X}H")]
    Status(u16),
}

impl Undelivered {
    /// The status of one that would be refused the next time too.
    fn for_good(&self) -> Option<u16> {
        match self {
            // No room, processing failure, resource limitation, duplicate invocation: they pass (PS3.7 Annex C).
            Self::Status(0xA700..=0xA7FF | 0x0110 | 0x0213 | 0x0210) => None,
            Self::Status(status) => Some(*status),
            _ => None,
        }
    }
}

/// An association that the next object may use too.
struct Line {
    meta: Meta,
    stream: PduStream<Connection>,
    /// Bytes of a PDU that the upstream takes.
    pdu: usize,
    message: u16,
}

/// Delivers what `spool` holds for the relay of this name until `stopping` turns true. `committed` is notified of
/// every object.
pub async fn drain(
    name: String,
    spool: Spool,
    relays: Arc<ArcSwap<Relays>>,
    committed: Arc<Notify>,
    mut stopping: watch::Receiver<bool>,
) {
    let work = async {
        let (mut line, mut pauses) = (None, BackOff::new(PAUSE, LONGEST_PAUSE));
        loop {
            let entry = take(&spool).await;
            let Some(entry) = entry else {
                hang_up(&mut line).await;
                let _ = tokio::time::timeout(AGES, committed.notified()).await;
                continue;
            };
            let number = entry.number();
            match deliver(&entry, relays.load().named(&name), &mut line).await {
                Ok(()) => {
                    pauses.reset();
                    settle(move || entry.done()).await;
                }
                Err(error) => {
                    // It is of no more use, whatever the state it is in.
                    line = None;
                    if let Some(status) = error.for_good() {
                        events::RefusedForGood { relay: &name, number, error: &error }.tell();
                        settle(move || entry.set_aside(status)).await;
                        continue;
                    }
                    let pause = pauses.pause();
                    events::Waits { relay: &name, number, pause, error: &error }.tell();
                    drop(entry);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = stopping.wait_for(|&down| down) => {}
    }
}

async fn take(spool: &Spool) -> Option<Entry> {
    let spool = spool.clone();
    match tokio::task::spawn_blocking(move || spool.next()).await {
        Ok(Ok(entry)) => entry,
        Ok(Err(error)) => {
            events::SpoolUnreadable { error: &error }.tell();
            None
        }
        Err(_) => None,
    }
}

async fn settle(act: impl FnOnce() -> Result<(), crate::spool::SpoolError> + Send + 'static) {
    if let Ok(Err(error)) = tokio::task::spawn_blocking(act).await {
        events::SpoolUnwritable { error: &error }.tell();
    }
}

async fn hang_up(line: &mut Option<Line>) {
    let Some(mut line) = line.take() else { return };
    let mut release = Vec::new();
    if write_pdu(&mut release, &Pdu::ReleaseRQ).is_ok() {
        // It has what counts.
        let _ = line.stream.send(&release).await;
        let _ = line.stream.next(Duration::from_secs(5)).await;
    }
    line.stream.close().await;
}

async fn deliver(
    entry: &Entry,
    relay: Option<Arc<Relay>>,
    line: &mut Option<Line>,
) -> Result<(), Undelivered> {
    let relay = relay.ok_or(Undelivered::NoRelay)?;
    let meta: Meta = serde_json::from_slice(entry.meta()).map_err(|_| Undelivered::Read)?;
    let fits = |line: &Line| {
        let of = |meta: &Meta| Meta { sop_instance: String::new(), ..meta.clone() };
        of(&line.meta) == of(&meta) && line.message < u16::MAX
    };
    if !line.as_ref().is_some_and(fits) {
        hang_up(line).await;
        let dialled = dial(&relay, &meta).await;
        if let Err(error @ Undelivered::Unreachable(_)) = &dialled {
            relay.counters.reached(&relay.name, Some(error.to_string()));
        }
        *line = Some(dialled?);
    }
    let Some(line) = line else { return Err(Undelivered::Protocol) };
    line.message += 1;
    line.send(entry, &meta).await?;
    let status = line.status().await?;
    relay.counters.answered(&relay.name, status);
    relay.counters.reached(&relay.name, None);
    match status {
        0x0000 | 0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF => Ok(()),
        // Duplicate SOP Instance: a try before this one arrived, and only its answer was lost.
        0x0111 => Ok(()),
        status => Err(Undelivered::Status(status)),
    }
}

/// The modality has long left.
struct Nobody;

impl Modality for Nobody {
    async fn says(&mut self) -> BytesMut {
        std::future::pending().await
    }
}

/// Opens an association for objects like this one.
async fn dial(relay: &Relay, meta: &Meta) -> Result<Line, Undelivered> {
    let request = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: meta.calling.clone(),
        called_ae_title: meta.called.clone(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![PresentationContextProposed {
            id: CONTEXT,
            abstract_syntax: meta.sop_class.clone(),
            transfer_syntaxes: vec![meta.transfer_syntax.clone()],
        }],
        user_variables: vec![
            UserVariableItem::MaxLength(RESPONSE_BYTES),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
        ],
    };
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &Pdu::AssociationRQ(request)).map_err(|_| Undelivered::Protocol)?;
    let associated = upstream::associate(relay, &bytes, PATIENCE, &mut Nobody).await?;
    let Associated { stream, socket, answer, .. } = associated;
    let Answer::Accepted(answer) = answer else { return Err(Undelivered::Rejected) };
    let Ok(Some(Pdu::AssociationAC(answer))) = read_pdu(&answer[..], REQUEST_LIMIT, false) else {
        return Err(Undelivered::Protocol);
    };
    let accepted = answer.presentation_contexts.iter().any(|context| {
        context.id == CONTEXT && context.reason == PresentationContextResultReason::Acceptance
    });
    if !accepted {
        return Err(Undelivered::Status(NOT_SUPPORTED));
    }
    let most = answer.user_variables.iter().find_map(|item| match item {
        UserVariableItem::MaxLength(most) if *most > 0 => Some(*most as usize),
        _ => None,
    });
    let pdu = most.map_or(PDU_BYTES, |most| most.min(PDU_BYTES)).max(PDV_OVERHEAD + 2);
    let stream = PduStream::new(stream, Some(socket), RESPONSE_BYTES, PATIENCE);
    Ok(Line { meta: meta.clone(), stream, pdu, message: 0 })
}

impl Line {
    async fn send(&mut self, entry: &Entry, meta: &Meta) -> Result<(), Undelivered> {
        let command = request(&meta.sop_class, &meta.sop_instance, self.message);
        self.stream.send(&command_pdu(CONTEXT, &command)).await?;
        let (to, mut chunks) = mpsc::channel::<Vec<u8>>(4);
        let mut reader = entry.read();
        let read = tokio::task::spawn_blocking(move || -> Result<(), Undelivered> {
            while let Some(chunk) = reader.chunk().map_err(|_| Undelivered::Read)? {
                if to.blocking_send(chunk.to_vec()).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let room = self.pdu - PDV_OVERHEAD;
        let mut ahead = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            ahead.extend_from_slice(&chunk);
            // One byte at least is kept back: only the end says which fragment is the last.
            while ahead.len() > room {
                let rest = ahead.split_off(room);
                self.fragment(&ahead, false).await?;
                ahead = rest;
            }
        }
        // Before the last fragment: an object that is damaged must not become whole at the upstream.
        read.await.unwrap_or(Err(Undelivered::Read))?;
        self.fragment(&ahead, true).await
    }

    async fn fragment(&mut self, bytes: &[u8], last: bool) -> Result<(), Undelivered> {
        Ok(self.stream.send(&data_pdu(CONTEXT, last, bytes)).await?)
    }

    /// The status of the response.
    async fn status(&mut self) -> Result<u16, Undelivered> {
        let mut bytes = BytesMut::new();
        loop {
            let Next::Pdv(pdv) = self.stream.next(PATIENCE).await? else { return Err(Undelivered::Protocol) };
            if !pdv.command || bytes.len() + self.stream.payload_left() > RESPONSE_BYTES as usize {
                return Err(Undelivered::Protocol);
            }
            while self.stream.payload_left() > 0 {
                self.stream.payload(&mut bytes, RESPONSE_BYTES as usize).await?;
            }
            if pdv.last {
                break;
            }
        }
        let heading = Heading::read(&bytes).map_err(|_| Undelivered::Protocol)?;
        let ours = heading.field == C_STORE | RESPONSE && heading.message == self.message;
        heading.status.filter(|_| ours).ok_or(Undelivered::Protocol)
    }
}

/// The command set of a C-STORE-RQ (PS3.7 Table 9.3-1).
fn request(sop_class: &str, sop_instance: &str, message: u16) -> Vec<u8> {
    command::written([
        text(tags::AFFECTED_SOP_CLASS_UID, VR::UI, sop_class),
        number(tags::COMMAND_FIELD, C_STORE),
        number(tags::MESSAGE_ID, message),
        number(tags::PRIORITY, 0),
        number(tags::COMMAND_DATA_SET_TYPE, 0x0001),
        text(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, sop_instance),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use dicom_ul::pdu::{AssociationAC, PresentationContextResult};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::counters::RelayCounters;
    use super::*;
    use crate::config::settings::RelaySettings;
    use crate::spool::{Bounds, KeepFree, Key};

    fn spool(folder: &Path, committed: &Arc<Notify>) -> Spool {
        let key = folder.join("key");
        fs::write(&key, [7; 32]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let bounds = Bounds {
            max_bytes: 1 << 30,
            max_objects: 100,
            max_age: Duration::from_secs(3600),
            keep_free: KeepFree::Bytes(0),
        };
        let wake = Arc::clone(committed);
        let key = Key::from_file(&key).unwrap();
        Spool::open(&folder.join("spool"), key, bounds, move || wake.notify_one()).unwrap()
    }

    fn put(spool: &Spool, name: &str, object: &[u8]) {
        let meta = Meta {
            called: "PACS".into(),
            calling: "XA1".into(),
            sop_class: "1.2.840.10008.5.1.4.1.1.12.1".into(),
            sop_instance: name.into(),
            transfer_syntax: "1.2.840.10008.1.2.1".into(),
        };
        let mut writer = spool.begin(&serde_json::to_vec(&meta).unwrap()).unwrap();
        writer.write(object).unwrap();
        writer.commit().unwrap();
    }

    async fn pdu(stream: &mut TcpStream) -> (u8, Vec<u8>) {
        let mut header = [0; 6];
        stream.read_exact(&mut header).await.unwrap();
        let mut body = vec![0; u32::from_be_bytes(header[2..].try_into().unwrap()) as usize];
        stream.read_exact(&mut body).await.unwrap();
        (header[0], body)
    }

    /// Takes one association; PDUs of it hold at most 600 bytes.
    async fn accept(listener: &TcpListener, takes: PresentationContextResultReason) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(pdu(&mut stream).await.0, 1);
        let answer = AssociationAC {
            protocol_version: 1,
            calling_ae_title: "XA1".into(),
            called_ae_title: "PACS".into(),
            application_context_name: "1.2.840.10008.3.1.1.1".into(),
            presentation_contexts: vec![PresentationContextResult {
                id: CONTEXT,
                transfer_syntax: "1.2.840.10008.1.2.1".into(),
                reason: takes,
            }],
            user_variables: vec![UserVariableItem::MaxLength(600)],
        };
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, &Pdu::AssociationAC(answer)).unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream
    }

    /// Takes one C-STORE and answers it; gives its SOP Instance UID and data set.
    async fn store(stream: &mut TcpStream, status: u16) -> (String, Vec<u8>) {
        let (kind, command) = pdu(stream).await;
        assert_eq!(kind, 4);
        let heading = Heading::read(&command[6..]).unwrap();
        let mut object = Vec::new();
        loop {
            let (_, fragment) = pdu(stream).await;
            assert!(fragment.len() <= 600);
            object.extend_from_slice(&fragment[6..]);
            if fragment[5] & 2 == 2 {
                break;
            }
        }
        let bytes = command::written([
            number(tags::COMMAND_FIELD, C_STORE | RESPONSE),
            number(tags::MESSAGE_ID_BEING_RESPONDED_TO, heading.message),
            number(tags::COMMAND_DATA_SET_TYPE, 0x0101),
            number(tags::STATUS, status),
        ]);
        stream.write_all(&command_pdu(CONTEXT, &bytes)).await.unwrap();
        (heading.sop_instance.unwrap().to_string(), object)
    }

    #[tokio::test]
    async fn what_waits_is_delivered_in_its_order_and_what_is_refused_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let committed = Arc::new(Notify::new());
        let spool = spool(folder.path(), &committed);
        let object = |seed: u8| (0..200_000u32).map(|at| (at % 251) as u8 ^ seed).collect::<Vec<_>>();
        for (name, seed) in [("1.1", 1), ("1.2", 2), ("1.3", 3)] {
            put(&spool, name, &object(seed));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = RelaySettings {
            called_ae_title: "PACS".into(),
            address: listener.local_addr().unwrap().to_string(),
            ..RelaySettings::default()
        };
        let settings = BTreeMap::from([("pacs".to_owned(), settings)]);
        let relays = Relays::new(&settings, &RelayCounters::default(), &BTreeMap::new(), &Relays::default());
        let (stop, stopping) = watch::channel(false);
        let relays = Arc::new(ArcSwap::from_pointee(relays));
        let task = tokio::spawn(drain("pacs".into(), spool.clone(), relays, committed, stopping));
        let accepted = PresentationContextResultReason::Acceptance;

        // No room: the same one again, in a new association, which the next one uses too.
        let mut stream = accept(&listener, accepted.clone()).await;
        assert_eq!(store(&mut stream, 0xA700).await.0, "1.1");
        let mut stream = accept(&listener, accepted.clone()).await;
        assert_eq!(store(&mut stream, 0xB000).await, ("1.1".to_owned(), object(1)));
        // Refused for good: it is set aside, and the next one comes.
        assert_eq!(store(&mut stream, 0xC001).await, ("1.2".to_owned(), object(2)));
        let mut stream = accept(&listener, accepted.clone()).await;
        assert_eq!(store(&mut stream, 0x0000).await.0, "1.3");
        // One that comes meanwhile is delivered at once; its context is refused.
        assert_eq!(pdu(&mut stream).await.0, 5, "released: there is no more");
        drop(stream);
        put(&spool, "1.4", &object(4));
        drop(accept(&listener, PresentationContextResultReason::AbstractSyntaxNotSupported).await);
        let aside = || spool.set_aside(9).iter().map(|aside| aside.reason).collect::<Vec<_>>();
        while aside().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(aside(), [0xC001, NOT_SUPPORTED]);
        assert_eq!(spool.stats().objects, 0);
        stop.send(true).unwrap();
        task.await.unwrap();
    }
}
