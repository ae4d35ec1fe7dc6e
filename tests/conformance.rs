//! Holds the tables of docs/conformance.md against the program: what is claimed is done, and what is
//! done is claimed. A failure prints the rows that are missing, ready to be put in.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of an integration test do not count as tests for clippy.toml"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use dicom_ul::pdu::{
    AssociationRQ, PresentationContextProposed, PresentationContextResultReason, UserVariableItem,
};
use framegate::config::settings::DimseSettings;
use framegate::dicomweb::routes::TEMPLATES;
use framegate::dimse::command::VERIFICATION;
use framegate::instance::encode::IMPLEMENTATION_CLASS_UID;
use framegate::instance::video::SopClass;
use framegate::source::dimse::negotiate::negotiate;

const WORKLIST: &str = "1.2.840.10008.5.1.4.31";
const COMMITMENT: &str = "1.2.840.10008.1.20.1";
const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

fn statement() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md")).unwrap()
}

/// The cells of the table under a heading, without its own head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = statement();
    let section = text.split(heading).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---"));
    rows.skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What becomes of a presentation context.
fn answer(abstract_syntax: &str, transfer_syntax: &str) -> PresentationContextResultReason {
    let request = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "TEST".into(),
        called_ae_title: "FRAMEGATE".into(),
        application_context_name: "1.2.840.10008.3.1.1.1".into(),
        presentation_contexts: vec![PresentationContextProposed {
            id: 1,
            abstract_syntax: abstract_syntax.to_owned(),
            transfer_syntaxes: vec![transfer_syntax.to_owned()],
        }],
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    };
    let accepted = negotiate(request, &DimseSettings::default()).unwrap();
    accepted.answer.presentation_contexts[0].reason.clone()
}

#[test]
fn every_resource_and_method_is_claimed_and_no_other() {
    let claimed: BTreeSet<String> = table("### 3.4 DICOMweb origin server")
        .iter()
        .map(|row| format!("| {} | {} | {} |", row[0], row[1], row[2]))
        .collect();
    let served: BTreeSet<String> = TEMPLATES
        .iter()
        .map(|row| {
            let methods = row.methods.iter().map(|method| method.as_str());
            let methods: Vec<_> = methods.filter(|method| !["HEAD", "OPTIONS"].contains(method)).collect();
            format!("| `{}` | {} | {} |", row.path, methods.join(", "), row.name)
        })
        .collect();
    let missing: Vec<_> = served.difference(&claimed).map(String::as_str).collect();
    let false_claims: Vec<_> = claimed.difference(&served).map(String::as_str).collect();
    assert!(
        missing.is_empty() && false_claims.is_empty(),
        "not claimed:\n{}\nnot served:\n{}",
        missing.join("\n"),
        false_claims.join("\n")
    );
}

#[test]
fn every_sop_class_that_is_claimed_is_taken() {
    let rows = table("#### 3.2.1 SOP classes");
    assert!(rows.len() > 100, "{} rows", rows.len());
    for row in &rows {
        let outcome = answer(&row[1], EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(outcome, PresentationContextResultReason::Acceptance, "{} {}", row[0], row[1]);
    }
    assert_eq!(answer(VERIFICATION, EXPLICIT_VR_LITTLE_ENDIAN), PresentationContextResultReason::Acceptance);
    for other in [WORKLIST, COMMITMENT] {
        let outcome = answer(other, EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(outcome, PresentationContextResultReason::AbstractSyntaxNotSupported, "{other}");
    }
}

#[test]
fn every_transfer_syntax_is_claimed_and_taken_and_no_other() {
    let claimed: BTreeSet<String> =
        table("#### 3.2.2 Transfer syntaxes").into_iter().map(|row| row[1].clone()).collect();
    let known: BTreeSet<String> =
        TransferSyntaxRegistry.iter().map(|syntax| syntax.uid().trim_end_matches('\0').to_owned()).collect();
    let rows: Vec<_> = TransferSyntaxRegistry
        .iter()
        .filter(|syntax| !claimed.contains(syntax.uid()))
        .map(|syntax| format!("| {} | {} |", syntax.name(), syntax.uid()))
        .collect();
    assert!(rows.is_empty(), "not claimed:\n{}", rows.join("\n"));
    assert_eq!(claimed, known, "claimed (left), known (right)");
    for uid in &claimed {
        let outcome = answer("1.2.840.10008.5.1.4.1.1.12.1", uid);
        assert_eq!(outcome, PresentationContextResultReason::Acceptance, "{uid}");
    }
}

#[test]
fn every_sop_class_that_video_becomes_is_claimed_and_no_other() {
    let claimed: Vec<String> =
        table("#### 4.2.1 SOP classes made").into_iter().map(|row| row[1].clone()).collect();
    let made =
        [SopClass::SecondaryCapture, SopClass::VlPhotographic, SopClass::VlEndoscopic, SopClass::Ultrasound];
    assert_eq!(claimed, made.map(SopClass::uid));
}

#[test]
fn the_statement_is_of_this_version() {
    let text = statement();
    let (major, rest) = env!("CARGO_PKG_VERSION").split_once('.').unwrap();
    let minor = rest.split('.').next().unwrap();
    assert!(text.contains(&format!("version {major}.{minor}.")), "not of version {major}.{minor}");
    assert!(text.contains(IMPLEMENTATION_CLASS_UID));
}
