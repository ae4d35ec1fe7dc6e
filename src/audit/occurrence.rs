//! What is audited, in terms of the house: who, what, and how it went. [`super::message`] puts it into the words of the
//! standard, [`super::journal`] into a line of the log.
//!
//! Patients and queries are in here, for the audit record repository alone: `Debug` shows neither.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::instance::{Dataset, Uid};
use crate::net::tls::host;

/// One thing that is audited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occurrence {
    /// The service is ready (PS3.15 §A.5.3.1).
    ApplicationStarted,
    /// The service begins to stop (§A.5.3.1).
    ApplicationStopped,
    /// Somebody has logged in or out, or has tried (§A.5.3.12).
    UserAuthenticated {
        /// The principal, the names of a certificate, or what else is claimed; may be empty.
        user: String,
        /// Where from.
        peer: IpAddr,
        /// How it went.
        outcome: Outcome,
        /// What was done, and by what.
        how: How,
    },
    /// Something that those who watch over security should know (§A.5.3.11).
    SecurityAlert {
        /// What it is of.
        alert: Alert,
        /// How bad it is: [`Outcome::Success`] informs, a failure was warded off.
        outcome: Outcome,
        /// Whom it is about.
        peer: Option<IpAddr>,
        /// Who did it, where that is known.
        user: Option<String>,
        /// In words, for a person. Without PHI: the journal has it too.
        said: String,
    },
    /// The first instance of a study is on its way (§A.5.3.3).
    TransferBegins(Transfer),
    /// Nothing more of that study follows (§A.5.3.7).
    Transferred(Transfer),
    /// The attributes of a study were read (§A.5.3.6).
    InstancesAccessed {
        /// Who.
        by: Party,
        /// Of what.
        study: Study,
    },
    /// Something was searched for, once or from now on (§A.5.3.10).
    Query {
        /// Who asks.
        by: Party,
        /// Who is asked.
        to: Party,
        /// What is asked for: the path of a resource.
        of: String,
        /// The question: the query part of the URL.
        question: Withheld,
    },
    /// Who or what is imaged has been told, or has changed (a Procedure Record by the conventions of §A.5.2).
    ContextChanges {
        /// The capture.
        capture: String,
        /// What was done or is different now, in one word or two: `emergency`, `patient`, `study`.
        change: &'static str,
        /// Who says so: `operator`, `worklist`, ….
        provider: &'static str,
        /// The principal who did it, and from where; nobody where a peer's message or the time did it.
        by: Option<Party>,
        /// Who is imaged now.
        patient: Option<Patient>,
        /// Study Instance UID, where one is known.
        study: Option<Uid>,
    },
}

/// How it went, as far as the standard tells it apart (§A.5.2, EventOutcomeIndicator).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// As it should.
    Success,
    /// It failed, and may be tried again.
    MinorFailure,
    /// It failed, and was ended.
    SeriousFailure,
}

/// A login or a logout, and by what means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// A client certificate was shown.
    Certificate,
    /// A bearer token was shown.
    Token,
    /// The code from the box's console was given.
    Code,
    /// A session was ended.
    Logout,
}

/// What an alert is of (PS3.16 CID 403).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alert {
    /// A peer was not let in, for what it is or for what it shows.
    NodeAuthentication,
    /// The configuration was changed at the console.
    SecurityConfiguration,
    /// Another version runs than before.
    SoftwareConfiguration,
    /// Something was used that few may use, such as the sight of patients on the console.
    RestrictedFunction,
    /// Messages of the audit trail were lost.
    AuditRecordingStopped,
}

/// A process or a person that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// The principal, the subject of a certificate, or a name of the configuration; empty where it is known by its
    /// address alone. Nobody asks for our own: `None`.
    pub(super) id: Option<Arc<str>>,
    /// Its AE title.
    pub(super) ae_title: Option<String>,
    /// Where it is: an IP address, or the name of a host.
    pub(super) at: Option<String>,
}

impl Party {
    /// This service, by the AE title that it was called by.
    pub fn us(ae_title: &str) -> Self {
        Self::here().titled(ae_title)
    }

    /// This service, by its own AE title.
    pub fn here() -> Self {
        Self::default()
    }

    /// A peer at an address.
    pub fn at(address: IpAddr) -> Self {
        Self { id: Some("".into()), ae_title: None, at: Some(address.to_canonical().to_string()) }
    }

    /// A peer of the configuration, by its `host` or `host:port`.
    pub fn configured(name: &str, address: &str) -> Self {
        // Of one without a port nothing is to be taken off but brackets.
        let host = if address.ends_with(']') { address.trim_matches(['[', ']']) } else { host(address) };
        let host = host.to_owned();
        Self { id: Some(name.into()), ae_title: None, at: Some(host) }
    }

    /// What it is known by, beside its address.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// The same, known by this name.
    #[must_use]
    pub fn known_as(mut self, name: Option<Arc<str>>) -> Self {
        if let Some(name) = name {
            self.id = Some(name);
        }
        self
    }

    /// The same, with an AE title.
    #[must_use]
    pub fn titled(mut self, ae_title: &str) -> Self {
        self.ae_title = Some(ae_title.to_owned());
        self
    }
}

/// Instances of one study on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Who sends.
    pub from: Party,
    /// Who receives.
    pub to: Party,
    /// Who passes them on between the two, where they are passed on.
    pub through: Option<Party>,
    /// Who has asked for it: the sender, or else the receiver.
    pub pushed: bool,
    /// Whether we are the receiver, and so know that it is new there.
    pub kept: bool,
    /// What.
    pub study: Study,
    /// How it went.
    pub outcome: Outcome,
}

/// A study, or what of it an occurrence is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Study {
    /// Study Instance UID (0020,000D).
    pub uid: String,
    /// Accession Number (0008,0050); empty where there is none.
    pub accession_number: Withheld,
    /// SOP Class UIDs, and how many instances of each.
    pub classes: Vec<(Uid, u64)>,
    /// Whose it is.
    pub patient: Patient,
}

impl Study {
    /// By the data set that opened a series of it.
    pub fn of(uid: &str, context: Option<&Dataset>) -> Self {
        let text = |tag| context.map(|context| text(context, tag)).unwrap_or_default();
        Self {
            uid: uid.to_owned(),
            accession_number: Withheld(text(tags::ACCESSION_NUMBER)),
            classes: Vec::new(),
            patient: Patient::new(text(tags::PATIENT_ID), text(tags::PATIENT_NAME)),
        }
    }

    /// How many instances.
    pub fn instances(&self) -> u64 {
        self.classes.iter().map(|(_, instances)| instances).sum()
    }
}

fn text(dataset: &Dataset, tag: Tag) -> String {
    let value = dataset.get(tag).and_then(|element| element.to_str().ok());
    value.map(|text| text.trim_matches(['\0', ' ']).to_owned()).unwrap_or_default()
}

/// A patient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patient {
    /// Patient ID (0010,0020); empty where it is not known.
    pub(super) id: Withheld,
    /// Patient's Name (0010,0010); empty where it is not known.
    pub(super) name: Withheld,
}

impl Patient {
    /// By Patient ID and Patient's Name.
    pub fn new(id: String, name: String) -> Self {
        Self { id: Withheld(id), name: Withheld(name) }
    }
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Withheld(pub(super) String);

impl Withheld {
    /// Holds it back from logs.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("withheld")
    }
}
