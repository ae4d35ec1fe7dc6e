//! An occurrence as a message of PS3.15 §A.5: event, who took part, who reports it, and what it was about. [`super::xml`]
//! writes it down. Which message stands for what, and why, is in `docs/audit.md`.

use std::time::SystemTime;

use super::occurrence::{Alert, How, Occurrence, Outcome, Party, Patient, Study, Transfer, Withheld};

/// A coded concept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) value: &'static str,
    pub(super) system: &'static str,
    pub(super) meaning: &'static str,
}

const fn dcm(value: &'static str, meaning: &'static str) -> Code {
    Code { value, system: "DCM", meaning }
}

const fn rfc(value: &'static str, meaning: &'static str) -> Code {
    Code { value, system: "RFC-3881", meaning }
}

// PS3.16 CID 400, 401, 402, 403, 404.
const APPLICATION_ACTIVITY: Code = dcm("110100", "Application Activity");
const BEGIN_TRANSFERRING: Code = dcm("110102", "Begin Transferring DICOM Instances");
const ACCESSED: Code = dcm("110103", "DICOM Instances Accessed");
const TRANSFERRED: Code = dcm("110104", "DICOM Instances Transferred");
const PROCEDURE_RECORD: Code = dcm("110111", "Procedure Record");
const QUERY: Code = dcm("110112", "Query");
const SECURITY_ALERT: Code = dcm("110113", "Security Alert");
const USER_AUTHENTICATION: Code = dcm("110114", "User Authentication");

const START: Code = dcm("110120", "Application Start");
const STOP: Code = dcm("110121", "Application Stop");
const LOGIN: Code = dcm("110122", "Login");
const LOGOUT: Code = dcm("110123", "Logout");

const APPLICATION: Code = dcm("110150", "Application");
const DESTINATION: Code = dcm("110152", "Destination Role ID");
const SOURCE: Code = dcm("110153", "Source Role ID");

const STUDY_UID: Code = dcm("110180", "Study Instance UID");
const NODE: Code = dcm("110182", "Node ID");
const DEVICE_NAME: Code = dcm("113877", "Device Name");
const PATIENT_NUMBER: Code = rfc("2", "Patient Number");
const URI: Code = rfc("12", "URI");

/// Participant Object Type Code (§A.5.1.2).
const PERSON: &str = "1";
const SYSTEM_OBJECT: &str = "2";
/// Participant Object Type Code Role (§A.5.1.2.2).
const PATIENT: &str = "1";
const REPORT: &str = "3";
const SECURITY_RESOURCE: &str = "13";
const PROCESSING_ELEMENT: &str = "26";

/// Who we are, in every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// Name of this host.
    pub(super) host: String,
    /// Our AE title, where we were not called by another.
    pub(super) ae_title: String,
    /// Process ID, as the journal has it.
    pub(super) process: String,
    /// Name and version of the program.
    pub(super) program: String,
}

/// A message, before it is XML.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) event: Code,
    pub(super) action: &'static str,
    pub(super) at: SystemTime,
    pub(super) outcome: &'static str,
    pub(super) kind: Option<Code>,
    pub(super) participants: Vec<Participant>,
    pub(super) objects: Vec<Object>,
}

/// An ActiveParticipant.
#[derive(Debug, Default)]
pub(super) struct Participant {
    pub(super) user: String,
    pub(super) ae_title: Option<String>,
    pub(super) name: Option<String>,
    pub(super) is_requestor: bool,
    pub(super) role: Option<Code>,
    pub(super) address: Option<String>,
}

/// A ParticipantObjectIdentification.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: String,
    pub(super) id_type: Code,
    pub(super) type_code: &'static str,
    pub(super) role: &'static str,
    pub(super) content: Content,
    pub(super) details: Vec<(&'static str, Vec<u8>)>,
    /// Accession Number, SOP classes and how many instances.
    pub(super) study: Option<Study>,
}

/// What the schema asks of every object: one of these.
#[derive(Debug)]
pub(super) enum Content {
    Name(String),
    Query(Vec<u8>),
}

impl Message {
    /// The message that tells of `occurrence`.
    pub(super) fn of(occurrence: &Occurrence, at: SystemTime, source: &Source) -> Self {
        let new = |event, action, outcome| Self {
            event,
            action,
            at,
            outcome: indicator(outcome),
            kind: None,
            participants: Vec::new(),
            objects: Vec::new(),
        };
        let us = || source.participant();
        match occurrence {
            Occurrence::ApplicationStarted | Occurrence::ApplicationStopped => {
                let is_start = *occurrence == Occurrence::ApplicationStarted;
                let application = Participant { role: Some(APPLICATION), ..us() };
                new(APPLICATION_ACTIVITY, "E", Outcome::Success)
                    .kind(if is_start { START } else { STOP })
                    .by([application])
            }
            Occurrence::UserAuthenticated { user, peer, outcome, how } => {
                let is_logout = *how == How::Logout;
                let person = Party::at(*peer).known_as(Some(user.as_str().into()));
                new(USER_AUTHENTICATION, "E", *outcome)
                    .kind(if is_logout { LOGOUT } else { LOGIN })
                    .by([source.of(&person, None, true), us()])
            }
            Occurrence::SecurityAlert { alert, outcome, peer, user, said } => {
                let performer = user.as_deref().map(|user| Participant {
                    address: peer.map(|peer| peer.to_canonical().to_string()),
                    ..Participant::named(user)
                });
                let subject =
                    peer.map_or_else(|| source.host.clone(), |peer| peer.to_canonical().to_string());
                new(SECURITY_ALERT, "E", *outcome)
                    .kind(alert_code(*alert))
                    .by(std::iter::once(us()).chain(performer))
                    .about([Object {
                        role: SECURITY_RESOURCE,
                        details: vec![("Alert Description", said.clone().into_bytes())],
                        ..Object::new(NODE, subject.clone(), Content::Name(subject))
                    }])
            }
            Occurrence::TransferBegins(transfer) => {
                new(BEGIN_TRANSFERRING, "E", transfer.outcome).transfer(transfer, source)
            }
            Occurrence::Transferred(transfer) => {
                // Whether whoever we send to has had it before, we cannot know.
                let action = if transfer.kept { "C" } else { "R" };
                new(TRANSFERRED, action, transfer.outcome).transfer(transfer, source)
            }
            Occurrence::InstancesAccessed { by, study } => new(ACCESSED, "R", Outcome::Success)
                .by([source.of(by, None, true), us()])
                .about([Object::study(study), Object::patient(&study.patient)]),
            Occurrence::Query { by, to, of, question } => new(QUERY, "E", Outcome::Success)
                .by([source.of(by, Some(SOURCE), true), source.of(to, Some(DESTINATION), false)])
                .about([Object::query(of, question)]),
            Occurrence::ContextChanges { capture, change, provider, by, patient, study } => {
                let device = Object {
                    role: PROCESSING_ELEMENT,
                    details: vec![
                        ("Change", change.as_bytes().into()),
                        ("Provider", provider.as_bytes().into()),
                    ],
                    ..Object::new(DEVICE_NAME, capture.clone(), Content::Name(capture.clone()))
                };
                let study = study.as_ref().map(|uid| Study { uid: uid.to_string(), ..Study::default() });
                new(PROCEDURE_RECORD, if *change == "withdraw patient" { "D" } else { "U" }, Outcome::Success)
                    .by(by.as_ref().map(|by| source.of(by, None, true)).into_iter().chain([us()]))
                    .about(std::iter::once(device).chain(study.as_ref().map(Object::study)))
                    .about(patient.as_ref().map(Object::patient))
            }
        }
    }

    /// Whether something failed, which those who watch the trail sort by.
    pub(super) fn is_failure(&self) -> bool {
        self.outcome != indicator(Outcome::Success)
    }

    fn kind(self, kind: Code) -> Self {
        Self { kind: Some(kind), ..self }
    }

    fn by(mut self, participants: impl IntoIterator<Item = Participant>) -> Self {
        self.participants.extend(participants);
        self
    }

    fn about(mut self, objects: impl IntoIterator<Item = Object>) -> Self {
        self.objects.extend(objects);
        self
    }

    fn transfer(self, transfer: &Transfer, source: &Source) -> Self {
        let Transfer { from, to, through, pushed, study, .. } = transfer;
        self.by([source.of(from, Some(SOURCE), *pushed), source.of(to, Some(DESTINATION), !*pushed)])
            .by(through.as_ref().map(|party| source.of(party, None, false)))
            .about([Object::study(study), Object::patient(&study.patient)])
    }
}

impl Source {
    fn participant(&self) -> Participant {
        Participant {
            ae_title: Some(self.ae_title.clone()),
            name: Some(self.program.clone()),
            address: Some(self.host.clone()),
            ..Participant::named(&self.process)
        }
    }

    fn of(&self, party: &Party, role: Option<Code>, is_requestor: bool) -> Participant {
        let known = match &party.id {
            None => self.participant(),
            Some(name) => {
                let address = party.at.as_deref().unwrap_or("unknown");
                let user = if name.is_empty() { address } else { name };
                Participant { address: party.at.clone(), ..Participant::named(user) }
            }
        };
        let ae_title = party.ae_title.clone().or(known.ae_title);
        Participant { ae_title, role, is_requestor, ..known }
    }
}

impl Participant {
    fn named(user: &str) -> Self {
        Self { user: user.to_owned(), ..Self::default() }
    }
}

impl Object {
    fn new(id_type: Code, id: String, content: Content) -> Self {
        Self {
            id,
            id_type,
            type_code: SYSTEM_OBJECT,
            role: REPORT,
            content,
            details: Vec::new(),
            study: None,
        }
    }

    fn study(study: &Study) -> Self {
        let name = Content::Name("Study".to_owned());
        Self { study: Some(study.clone()), ..Self::new(STUDY_UID, study.uid.clone(), name) }
    }

    fn patient(patient: &Patient) -> Self {
        let Patient { id: Withheld(id), name: Withheld(name) } = patient;
        let known = Self::new(PATIENT_NUMBER, id.clone(), Content::Name(name.clone()));
        Self { type_code: PERSON, role: PATIENT, ..known }
    }

    fn query(of: &str, Withheld(question): &Withheld) -> Self {
        Self::new(URI, of.to_owned(), Content::Query(question.clone().into_bytes()))
    }
}

/// EventOutcomeIndicator (§A.5.2).
fn indicator(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "0",
        Outcome::MinorFailure => "4",
        Outcome::SeriousFailure => "8",
    }
}

/// PS3.16 CID 403.
fn alert_code(alert: Alert) -> Code {
    match alert {
        Alert::NodeAuthentication => dcm("110126", "Node Authentication"),
        Alert::SecurityConfiguration => dcm("110129", "Security Configuration"),
        Alert::SoftwareConfiguration => dcm("110131", "Software Configuration"),
        Alert::RestrictedFunction => dcm("110132", "Use of Restricted Function"),
        Alert::AuditRecordingStopped => dcm("110133", "Audit Recording Stopped"),
    }
}
