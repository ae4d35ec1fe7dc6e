use std::time::Duration;

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;

fn source() -> Source {
    Source {
        host: "box-7".into(),
        ae_title: "FRAMEGATE".into(),
        process: "4242".into(),
        program: "framegate 1.2.3".into(),
    }
}

fn study() -> Study {
    Study {
        uid: "1.2.3".into(),
        accession_number: Withheld("A<1>".into()),
        classes: vec![("1.2.840.10008.5.1.4.1.1.12.1".into(), 7)],
        patient: Patient::new("4711".into(), "Doe^Jane".into()),
    }
}

fn transfer() -> Transfer {
    let peer = Party::at("192.0.2.9".parse().unwrap());
    Transfer {
        from: peer.titled("XA1").known_as(Some("CN=xa1".into())),
        to: Party::us("FRAMEGATE"),
        through: None,
        pushed: true,
        kept: true,
        study: study(),
        outcome: Outcome::Success,
    }
}

fn written(occurrence: &Occurrence) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_123);
    let message = Message::of(occurrence, at, &source());
    String::from_utf8(xml::write(&message, &source()).unwrap()).unwrap()
}

/// One of each kind, with texts that come from outside.
fn all(text: &str) -> Vec<Occurrence> {
    let peer = "2001:db8::7".parse().unwrap();
    let party = || Party::configured(text, "pacs.example:443").titled(text);
    let patient = || Patient::new(text.to_owned(), text.to_owned());
    let study = || Study { uid: text.into(), accession_number: Withheld(text.into()), ..study() };
    let transfer =
        || Transfer { from: party(), through: Some(Party::us(text)), study: study(), ..transfer() };
    let mut all = vec![
        Occurrence::ApplicationStarted,
        Occurrence::ApplicationStopped,
        Occurrence::TransferBegins(transfer()),
        Occurrence::Transferred(Transfer { outcome: Outcome::SeriousFailure, ..transfer() }),
        Occurrence::InstancesAccessed { by: party(), study: study() },
        Occurrence::Query {
            by: party(),
            to: Party::us("FRAMEGATE"),
            of: "/dicomweb/studies".into(),
            question: Withheld(text.into()),
        },
        Occurrence::ContextChanges {
            capture: text.into(),
            change: "emergency",
            provider: "operator",
            by: Some(party()),
            patient: Some(patient()),
            study: Some(text.into()),
        },
        Occurrence::ContextChanges {
            capture: text.into(),
            change: "patient",
            provider: "generated",
            by: None,
            patient: None,
            study: None,
        },
    ];
    for how in [How::Certificate, How::Token, How::Code, How::Logout] {
        let (user, outcome) = (text.to_owned(), Outcome::MinorFailure);
        all.push(Occurrence::UserAuthenticated { user, peer, outcome, how });
    }
    let alerts = [
        Alert::NodeAuthentication,
        Alert::SecurityConfiguration,
        Alert::SoftwareConfiguration,
        Alert::RestrictedFunction,
        Alert::AuditRecordingStopped,
    ];
    for (alert, peer) in alerts.into_iter().zip([Some(peer), None].into_iter().cycle()) {
        let (user, said) = (peer.map(|_| text.to_owned()), text.to_owned());
        all.push(Occurrence::SecurityAlert { alert, outcome: Outcome::Success, peer, user, said });
    }
    all
}

/// Walks a document; gives the names of its elements, or fails where it is not well-formed.
fn elements(document: &str) -> Vec<String> {
    let mut reader = Reader::from_str(document);
    reader.config_mut().check_end_names = true;
    let mut names = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                names.push(String::from_utf8(start.name().as_ref().to_vec()).unwrap());
                for attribute in start.attributes() {
                    attribute.unwrap().unescape_value().unwrap();
                }
            }
            Event::Text(text) => drop(text.xml_content().unwrap()),
            Event::Eof => return names,
            _ => {}
        }
    }
}

#[test]
fn a_transfer_is_written_as_the_standard_has_it() {
    let expected = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?><AuditMessage>"#,
        r#"<EventIdentification EventActionCode="C" EventDateTime="2025-11-24T16:00:00.123Z" EventOutcomeIndicator="0">"#,
        r#"<EventID csd-code="110104" codeSystemName="DCM" originalText="DICOM Instances Transferred"></EventID>"#,
        r#"</EventIdentification>"#,
        r#"<ActiveParticipant UserID="CN=xa1" AlternativeUserID="AETITLES=XA1" UserIsRequestor="true" "#,
        r#"NetworkAccessPointID="192.0.2.9" NetworkAccessPointTypeCode="2">"#,
        r#"<RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"></RoleIDCode></ActiveParticipant>"#,
        r#"<ActiveParticipant UserID="4242" AlternativeUserID="AETITLES=FRAMEGATE" UserName="framegate 1.2.3" "#,
        r#"UserIsRequestor="false" NetworkAccessPointID="box-7" NetworkAccessPointTypeCode="1">"#,
        r#"<RoleIDCode csd-code="110152" codeSystemName="DCM" originalText="Destination Role ID"></RoleIDCode></ActiveParticipant>"#,
        r#"<AuditSourceIdentification AuditSourceID="box-7"><AuditSourceTypeCode csd-code="4"></AuditSourceTypeCode>"#,
        r#"</AuditSourceIdentification>"#,
        r#"<ParticipantObjectIdentification ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3">"#,
        r#"<ParticipantObjectIDTypeCode csd-code="110180" codeSystemName="DCM" originalText="Study Instance UID"></ParticipantObjectIDTypeCode>"#,
        r#"<ParticipantObjectName>Study</ParticipantObjectName><ParticipantObjectDescription><Accession Number="A&lt;1&gt;"></Accession>"#,
        r#"<SOPClass UID="1.2.840.10008.5.1.4.1.1.12.1" NumberOfInstances="7"></SOPClass></ParticipantObjectDescription>"#,
        r#"</ParticipantObjectIdentification>"#,
        r#"<ParticipantObjectIdentification ParticipantObjectID="4711" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1">"#,
        r#"<ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number"></ParticipantObjectIDTypeCode>"#,
        r#"<ParticipantObjectName>Doe^Jane</ParticipantObjectName></ParticipantObjectIdentification></AuditMessage>"#,
    );
    assert_eq!(written(&Occurrence::Transferred(transfer())), expected);
}

#[test]
fn what_names_patients_shows_in_no_debug_text() {
    for occurrence in all("Sesame^Open") {
        let shown = format!("{occurrence:?}");
        let patients = shown.matches("withheld").count();
        match &occurrence {
            Occurrence::TransferBegins(_) | Occurrence::Transferred(_) => assert_eq!(patients, 3, "{shown}"),
            Occurrence::Query { .. } => assert_eq!(patients, 1, "{shown}"),
            _ => {}
        }
    }
    let shown = format!("{:?}", transfer());
    assert!(!shown.contains("Doe") && !shown.contains("4711") && !shown.contains("A<1>"), "{shown}");
}

/// Every kind, with texts that a peer might send, against the schema of PS3.15 §A.5.1 by somebody else's program.
#[test]
fn samples_are_valid_by_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let samples = all("Müller^<&\"'> \u{1}\u{FFFF}").into_iter().chain(all(""));
    let files: Vec<_> = samples
        .enumerate()
        .map(|(at, occurrence)| {
            let file = folder.path().join(format!("{at:02}.xml"));
            std::fs::write(&file, written(&occurrence)).unwrap();
            file
        })
        .collect();
    assert!(files.len() > 20);
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/audit-message.rng");
    let checked = std::process::Command::new("xmllint")
        .args(["--noout", "--nonet", "--relaxng", schema])
        .args(&files)
        .output()
        .expect("xmllint is needed: Debian's package libxml2-utils");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_message_fits_into_what_every_receiver_takes() {
    let long = "é\u{10FFFD}".repeat(20_000);
    for occurrence in all(&long) {
        let document = written(&occurrence);
        assert!(document.len() <= 32 << 10, "{} bytes", document.len());
        elements(&document);
    }
}

proptest! {
    #[test]
    fn any_text_in_any_field_is_well_formed(text in any::<String>()) {
        for occurrence in all(&text) {
            let document = written(&occurrence);
            let names = elements(&document);
            prop_assert_eq!(&names[..2], ["AuditMessage", "EventIdentification"]);
            prop_assert!(!document.chars().any(|c| c.is_control()));
        }
    }
}
