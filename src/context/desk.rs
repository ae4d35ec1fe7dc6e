//! The desk: what an operator wants of each capture, and what each capture says of itself.
//!
//! The operations endpoint writes wishes (start, stop, who is imaged), the capture source reads them
//! and writes its report. Neither knows the other. The names are those of the `[capture.NAME]`
//! sections; a name that is not there is refused, so the table is bounded by the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Patient;

/// What an operator has said of the encounter. `Debug` shows no value.
#[derive(Clone, PartialEq, Default)]
pub struct Order {
    /// Who is imaged.
    pub patient: Patient,
    /// Study Instance UID (0020,000D) to use; `None` for a fresh one.
    pub study_instance_uid: Option<String>,
    /// Study ID (0020,0010), SH; empty for a generated one.
    pub study_id: String,
    /// Accession Number (0008,0050), SH; empty without one.
    pub accession_number: String,
    /// Referring Physician's Name (0008,0090), PN; empty when unknown.
    pub referring_physician: String,
    /// Study Description (0008,1030), LO; empty for that of the configuration.
    pub study_description: String,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Order(withheld)")
    }
}

/// What is wanted of one capture.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// An operator's start (true) or stop (false); `None` when nobody has said either.
    pub running: Option<bool>,
    /// Who is imaged, if an operator has said so.
    pub order: Option<Arc<Order>>,
    /// Rises with every change of `order` and with every start: the next frame opens a new series.
    pub encounter: u64,
}

/// What a capture says of itself. Holds no PHI.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// One of the states of the capture source, such as `streaming` or `no-signal`.
    pub state: &'static str,
    /// What it means and how to mend it, in a sentence; empty when all is well.
    pub advice: String,
    /// Device path, card and driver; empty when there is none.
    pub device: String,
    /// Hardware profile that is in use.
    pub profile: String,
    /// Such as `1920x1080p60 YUYV`; empty without a signal.
    pub format: String,
    /// Study Instance UID of the open series; empty when none is open.
    pub study: String,
    /// Series Instance UID of the open series; empty when none is open.
    pub series: String,
}

/// Why a wish is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// No `[capture.NAME]` of this name.
    #[error("there is no capture of this name")]
    Unknown,
}

/// The table. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    places: Arc<Mutex<BTreeMap<String, (Wanted, Report)>>>,
}

impl Desk {
    /// A desk for the captures of these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let places = names.into_iter().map(|name| (name, Default::default())).collect();
        Self { places: Arc::new(Mutex::new(places)) }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, (Wanted, Report)>> {
        // Nothing that runs under this lock can panic half way through a change.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wanted of this capture; nothing, for a name that is not there.
    pub fn wanted(&self, name: &str) -> Wanted {
        self.places().get(name).map(|(wanted, _)| wanted.clone()).unwrap_or_default()
    }

    /// What all captures say of themselves, by name.
    pub fn reports(&self) -> Vec<(String, Wanted, Report)> {
        let places = self.places();
        places.iter().map(|(name, (wanted, report))| (name.clone(), wanted.clone(), report.clone())).collect()
    }

    /// Replaces what this capture says of itself.
    pub fn report(&self, name: &str, report: Report) {
        if let Some(place) = self.places().get_mut(name) {
            place.1 = report;
        }
    }

    /// Changes what is wanted of a capture.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn wish(&self, name: &str, change: impl FnOnce(&mut Wanted)) -> Result<(), DeskError> {
        let mut places = self.places();
        let (wanted, _) = places.get_mut(name).ok_or(DeskError::Unknown)?;
        change(wanted);
        Ok(())
    }
}
