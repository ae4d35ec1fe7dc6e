//! A message as XML by the schema of PS3.15 §A.5.1. Texts come from peers: each is bounded, and what XML 1.0 cannot hold
//! becomes U+FFFD.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dicom_core::chrono::{DateTime, SecondsFormat, Utc};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::message::{Code, Content, Message, Object, Participant, Source};
use super::occurrence::{Study, Withheld};

/// Characters of one text. DICOM's own are at most 64 in each of a few components.
const MOST_TEXT: usize = 256;
/// Bytes of a query or a detail; with that a message fits into the 32 KiB that every receiver takes (§A.6).
const MOST_BINARY: usize = 12 << 10;
/// SOP classes of one study.
const MOST_CLASSES: usize = 64;
/// AuditSourceTypeCode of an application server process (§A.5.1.2.1).
const APPLICATION_SERVER: &str = "4";

type Attributes<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// Writes `message` as one document, in UTF-8.
///
/// # Errors
/// Never, as it writes to memory; the library's signatures have them.
pub(super) fn write(message: &Message, source: &Source) -> io::Result<Vec<u8>> {
    let mut document = Document(Writer::new(Vec::with_capacity(2048)));
    document.0.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    document.element("AuditMessage", vec![], |document| {
        document.event(message)?;
        message.participants.iter().try_for_each(|participant| document.participant(participant))?;
        let source = vec![("AuditSourceID", text(&source.host))];
        document.element("AuditSourceIdentification", source, |document| {
            let kind = vec![("csd-code", APPLICATION_SERVER.into())];
            document.element("AuditSourceTypeCode", kind, nothing)
        })?;
        message.objects.iter().try_for_each(|object| document.object(object))
    })?;
    Ok(document.0.into_inner())
}

/// A time as the messages and their syslog headers have it (§A.5.2.5, RFC 5424 §6.2.3).
pub(super) fn time(at: std::time::SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}

struct Document(Writer<Vec<u8>>);

fn nothing(_: &mut Document) -> io::Result<()> {
    Ok(())
}

impl Document {
    fn event(&mut self, message: &Message) -> io::Result<()> {
        let attributes = vec![
            ("EventActionCode", message.action.into()),
            ("EventDateTime", time(message.at).into()),
            ("EventOutcomeIndicator", message.outcome.into()),
        ];
        self.element("EventIdentification", attributes, |document| {
            document.code("EventID", message.event)?;
            message.kind.map_or(Ok(()), |kind| document.code("EventTypeCode", kind))
        })
    }

    fn participant(&mut self, participant: &Participant) -> io::Result<()> {
        let mut attributes: Attributes<'_> = vec![("UserID", text(&participant.user))];
        if let Some(title) = &participant.ae_title {
            attributes.push(("AlternativeUserID", format!("AETITLES={}", text(title)).into()));
        }
        if let Some(name) = &participant.name {
            attributes.push(("UserName", text(name)));
        }
        attributes.push(("UserIsRequestor", if participant.is_requestor { "true" } else { "false" }.into()));
        if let Some(address) = &participant.address {
            let is_ip = address.parse::<IpAddr>().is_ok();
            attributes.push(("NetworkAccessPointID", text(address)));
            attributes.push(("NetworkAccessPointTypeCode", if is_ip { "2" } else { "1" }.into()));
        }
        self.element("ActiveParticipant", attributes, |document| {
            participant.role.map_or(Ok(()), |role| document.code("RoleIDCode", role))
        })
    }

    fn object(&mut self, object: &Object) -> io::Result<()> {
        let attributes = vec![
            ("ParticipantObjectID", text(&object.id)),
            ("ParticipantObjectTypeCode", object.type_code.into()),
            ("ParticipantObjectTypeCodeRole", object.role.into()),
        ];
        self.element("ParticipantObjectIdentification", attributes, |document| {
            document.code("ParticipantObjectIDTypeCode", object.id_type)?;
            match &object.content {
                Content::Name(name) => document.text("ParticipantObjectName", &text(name))?,
                Content::Query(query) => document.text("ParticipantObjectQuery", &binary(query))?,
            }
            for (kind, value) in &object.details {
                let detail = vec![("type", (*kind).into()), ("value", binary(value).into())];
                document.element("ParticipantObjectDetail", detail, nothing)?;
            }
            object.study.as_ref().map_or(Ok(()), |study| document.description(study))
        })
    }

    fn description(&mut self, study: &Study) -> io::Result<()> {
        let Study { accession_number: Withheld(accession_number), classes, .. } = study;
        if accession_number.is_empty() && classes.is_empty() {
            return Ok(());
        }
        self.element("ParticipantObjectDescription", vec![], |document| {
            if !accession_number.is_empty() {
                document.element("Accession", vec![("Number", text(accession_number))], nothing)?;
            }
            classes.iter().take(MOST_CLASSES).try_for_each(|(class, instances)| {
                let attributes =
                    vec![("UID", text(class)), ("NumberOfInstances", instances.to_string().into())];
                document.element("SOPClass", attributes, nothing)
            })
        })
    }

    fn code(&mut self, name: &'static str, code: Code) -> io::Result<()> {
        let attributes = vec![
            ("csd-code", code.value.into()),
            ("codeSystemName", code.system.into()),
            ("originalText", code.meaning.into()),
        ];
        self.element(name, attributes, nothing)
    }

    fn text(&mut self, name: &'static str, content: &str) -> io::Result<()> {
        self.element(name, vec![], |document| document.0.write_event(Event::Text(BytesText::new(content))))
    }

    fn element(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        content: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let attributes = attributes.iter().map(|(name, value)| (*name, value.as_ref()));
        self.0.write_event(Event::Start(BytesStart::new(name).with_attributes(attributes)))?;
        content(self)?;
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }
}

/// A text as XML 1.0 can hold it (§2.2 there), on one line and bounded.
fn text(text: &str) -> Cow<'_, str> {
    let is_legal = |c: char| !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}');
    if text.len() <= MOST_TEXT && text.chars().all(is_legal) {
        return Cow::Borrowed(text);
    }
    let legal = text.chars().take(MOST_TEXT);
    Cow::Owned(legal.map(|c| if is_legal(c) { c } else { '\u{FFFD}' }).collect())
}

fn binary(bytes: &[u8]) -> String {
    STANDARD.encode(bytes.get(..MOST_BINARY).unwrap_or(bytes))
}
