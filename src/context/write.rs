//! Writes what is told into data sets: the attributes of a patient, a request and a performed step that
//! more than one kind of data set holds.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};
use dicom_object::InMemDicomObject;

use super::order::{Code, Performed, Request};
use super::{Patient, date, time};

/// The VR that PS3.6 has for an attribute.
pub(super) fn vr(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// A text; without one the attribute has no value.
pub(super) fn text(tag: Tag, vr: VR, value: &str) -> DataElement<InMemDicomObject> {
    let value = if value.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::from(value) };
    DataElement::new(tag, vr, value)
}

/// A text, where there is one.
fn some(dataset: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    if !value.is_empty() {
        dataset.put(text(tag, vr, value));
    }
}

fn sequence(dataset: &mut InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) {
    if !items.is_empty() {
        dataset.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
    }
}

/// The patient: of the Patient module (PS3.3 §C.7.1.1).
pub(super) fn patient(patient: &Patient, dataset: &mut InMemDicomObject) {
    dataset.put(text(tags::PATIENT_NAME, VR::PN, &patient.name));
    dataset.put(text(tags::PATIENT_ID, VR::LO, &patient.id));
    some(dataset, tags::ISSUER_OF_PATIENT_ID, VR::LO, &patient.issuer);
    dataset.put(text(tags::PATIENT_BIRTH_DATE, VR::DA, &patient.birth_date));
    dataset.put(text(tags::PATIENT_SEX, VR::CS, &patient.sex));
}

/// A scheduled step, without the procedure that it is of.
pub(super) fn step(request: &Request, dataset: &mut InMemDicomObject) {
    some(dataset, tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, &request.step_id);
    some(dataset, tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, &request.step_description);
    let codes = request.protocol.iter().map(code).collect();
    sequence(dataset, tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, codes);
}

fn code(code: &Code) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    some(&mut item, tags::CODE_VALUE, VR::SH, &code.value);
    some(&mut item, tags::CODING_SCHEME_DESIGNATOR, VR::SH, &code.scheme);
    some(&mut item, tags::CODING_SCHEME_VERSION, VR::SH, &code.version);
    some(&mut item, tags::CODE_MEANING, VR::LO, &code.meaning);
    item
}

/// Request Attributes Sequence (0040,0275): of General Series (PS3.3 §C.7.3.1, Table 10-9). An item of which
/// the sequence has nothing to say is left out.
pub(super) fn requests(requests: &[Request], dataset: &mut InMemDicomObject) {
    let items = requests.iter().map(|request| {
        let mut item = InMemDicomObject::new_empty();
        some(&mut item, tags::ACCESSION_NUMBER, VR::SH, &request.accession_number);
        some(&mut item, tags::REQUESTED_PROCEDURE_ID, VR::SH, &request.procedure_id);
        some(&mut item, tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, &request.procedure_description);
        step(request, &mut item);
        item
    });
    let items = items.filter(|item| item.iter().next().is_some()).collect();
    sequence(dataset, tags::REQUEST_ATTRIBUTES_SEQUENCE, items);
}

/// The performed step that a series is of: Referenced Performed Procedure Step Sequence (0008,1111),
/// Performed Procedure Step ID, Start Date and Start Time of General Series (PS3.3 §C.7.3.1).
pub(super) fn performed(performed: &Performed, dataset: &mut InMemDicomObject) {
    if !performed.instance_uid.is_empty() {
        let class = uids::MODALITY_PERFORMED_PROCEDURE_STEP;
        let item = InMemDicomObject::from_element_iter([
            text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class),
            text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, &performed.instance_uid),
        ]);
        sequence(dataset, tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, vec![item]);
    }
    some(dataset, tags::PERFORMED_PROCEDURE_STEP_ID, VR::SH, &performed.id);
    if let Some(started) = performed.started {
        dataset.put(text(tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA, &date(started)));
        dataset.put(text(tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM, &time(started)));
    }
}
