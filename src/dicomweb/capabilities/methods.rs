//! What each method of a resource is called, takes and gives: parameters, media types and statuses.

use http::Method;

use super::super::media::{BulkDataType, CapabilitiesMedia, DatasetMedia, ImageFormat};
use super::super::problem::PROBLEM_JSON;
use super::super::routes::{Template, Transaction};
use super::{MethodNode, OptionNode, Parameter, Representation, Request, ResponseNode};
use crate::subscription::scope::Level;

/// Attributes that a search at each level matches (PS3.18 §10.6.1.2.3), for what its path does
/// not fix already.
const STUDY_KEYS: &[&str] = &[
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ModalitiesInStudy",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "StudyInstanceUID",
    "StudyID",
];
const SERIES_KEYS: &[&str] = &[
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "RequestAttributesSequence.ScheduledProcedureStepID",
    "RequestAttributesSequence.RequestedProcedureID",
];
const INSTANCE_KEYS: &[&str] = &["SOPClassUID", "SOPInstanceUID", "InstanceNumber"];

/// Query parameters with a line of explanation, by transaction.
const SEARCH_PARAMETERS: &[(&str, &str)] = &[
    ("limit", "most results"),
    ("offset", "results to skip"),
    ("includefield", "further attributes to return, as keywords or tags, or all"),
    ("fuzzymatching", "true or false"),
];
const LIVE_PARAMETERS: &[(&str, &str)] = &[
    ("from", "where to begin in a growing series: oldest (default), latest, or an Instance Number"),
    ("rate", "most instances a second; those in between are skipped"),
    ("subscription", "id of a subscription of yours whose rate and pause steer the stream"),
];
const REGISTRATION_PARAMETERS: &[(&str, &str)] = &[
    ("fuzzymatching", "true or false"),
    ("filter", "match keys as one list: a=b,c=d"),
    ("destination", "name of a configured destination to push instances to, instead of notifying"),
    ("rate", "most instances a second; with update, 0 takes the limit away"),
    ("from", "where a push begins in a growing series: oldest (default), latest, or an Instance Number"),
    ("transfer-syntax", "1.2.840.10008.1.2.1 to decode what is in another transfer syntax"),
    ("representation", "rendered for pictures instead of instances"),
    ("lease", "seconds until the subscription ends unless it is renewed; the server may grant less"),
    ("paused", "true or false"),
    ("update", "change rate, paused and lease of what is registered, instead of registering"),
    ("subscription", "with update: only the subscription with this id"),
];
const SELECTION_PARAMETERS: &[(&str, &str)] = &[("subscription", "only the subscription with this id")];
const CHANNEL_PARAMETERS: &[(&str, &str)] = &[
    (
        "channel",
        "what opens the connection without further credentials; part of the Location of a registration",
    ),
    ("after", "sequence number, or id:number, after which events are resumed"),
];
const RENDERED_PARAMETERS: &[(&str, &str)] = &[
    ("quality", "quality of a lossy encoding, 1 to 100"),
    ("viewport", "vw,vh[,sx,sy,sw,sh] in pixels"),
    ("window", "center,width,function with function linear, linear-exact or sigmoid"),
];

/// The methods of a row. HEAD goes without saying (RFC 9110 §9.3.2), OPTIONS is what this is.
pub(super) fn of(template: &'static Template) -> impl Iterator<Item = MethodNode> {
    let told = template.methods.iter().filter(|method| !matches!(**method, Method::HEAD | Method::OPTIONS));
    told.map(|method| {
        let content = match what(template, method) {
            What::Store => vec![related("application/dicom"), related("application/dicom+json")],
            What::Identify => vec![DatasetMedia::DicomJson.essence().to_owned()],
            What::Choose => vec![DatasetMedia::DicomJson.essence().to_owned(), "text/plain".to_owned()],
            _ => Vec::new(),
        };
        MethodNode {
            name: method.as_str(),
            id: identifier(template, method),
            request: Request {
                param: parameters(template, method),
                representation: content.into_iter().map(representation).collect(),
            },
            response: responses(template, method),
        }
    })
}

/// What a method of a resource is for, as far as its description differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Describe,
    Search(Level),
    Retrieve,
    Metadata,
    Rendered,
    BulkData,
    Store,
    Register(Level),
    Manage,
    Notify,
    Operate,
    Schedule,
    Identify,
    Choose,
    Forget,
}

fn what(template: &Template, method: &Method) -> What {
    let is_post = *method == Method::POST;
    match template.transaction {
        Transaction::Capabilities => What::Describe,
        Transaction::Search(_) | Transaction::Retrieve if is_post => What::Store,
        Transaction::Search(level) => What::Search(level),
        Transaction::Retrieve => What::Retrieve,
        Transaction::Metadata => What::Metadata,
        Transaction::Rendered | Transaction::RenderedFrames => What::Rendered,
        Transaction::Frames | Transaction::Bulkdata => What::BulkData,
        Transaction::Subscription(level) if is_post => What::Register(level),
        Transaction::Subscription(_) | Transaction::Suspend(_) | Transaction::Resume(_) => What::Manage,
        Transaction::Notifications => What::Notify,
        Transaction::Captures | Transaction::Start | Transaction::Stop | Transaction::Emergency => {
            What::Operate
        }
        Transaction::Worklist => What::Schedule,
        Transaction::Step => What::Choose,
        Transaction::Patient if *method == Method::DELETE => What::Forget,
        Transaction::Patient => What::Identify,
    }
}

/// `Search for Studies` → `SearchForStudies`, as PS3.18 writes the identifiers of methods; with a word
/// before it where a resource has several.
pub(super) fn identifier(template: &Template, method: &Method) -> String {
    let words = match (what(template, method), template.transaction) {
        (What::Store, Transaction::Search(Level::Instances)) => "Send Instances".to_owned(),
        (What::Store, Transaction::Search(_)) => "Store Instances".to_owned(),
        (What::Store, _) => "Store Study Instances".to_owned(),
        // Two ways to the same.
        (What::Notify, _) if template.path.starts_with("/ws/") => format!("{} By Ws", template.name),
        (What::Register(_), _) => format!("Register {}", template.name),
        (What::Manage, Transaction::Subscription(_)) if *method == Method::DELETE => {
            format!("Delete {}", template.name)
        }
        (What::Identify | What::Choose, _) => format!("Set {}", template.name),
        (What::Forget, _) => format!("Delete {}", template.name),
        _ => template.name.to_owned(),
    };
    let mut id = String::with_capacity(words.len());
    for word in words.split(' ') {
        let mut chars = word.chars();
        id.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(chars.as_str());
    }
    id
}

fn parameters(template: &Template, method: &Method) -> Vec<Parameter> {
    let types = media_types(template, method);
    let mut params = Vec::new();
    if let Some(default) = types.first().cloned() {
        params.push(Parameter {
            default: Some(default),
            option: types.into_iter().map(|value| OptionNode { value }).collect(),
            ..Parameter::new("Accept", "header", None)
        });
        let doc = "acceptable media types, where a client cannot set header fields";
        params.push(Parameter::new("accept", "query", Some(doc)));
    }
    let mut query = |name, doc| params.push(Parameter::new(name, "query", doc));
    let what = what(template, method);
    let tables: &[&[(&str, &str)]] = match what {
        What::Search(_) => &[SEARCH_PARAMETERS],
        What::Retrieve if !is_one_instance(template) => &[LIVE_PARAMETERS],
        What::Rendered if !is_one_instance(template) => &[LIVE_PARAMETERS, RENDERED_PARAMETERS],
        What::Rendered => &[RENDERED_PARAMETERS],
        What::Register(_) => &[REGISTRATION_PARAMETERS],
        What::Manage => &[SELECTION_PARAMETERS],
        What::Notify => &[CHANNEL_PARAMETERS],
        _ => &[],
    };
    for (name, doc) in tables.iter().copied().flatten() {
        query(name, Some(doc));
    }
    if let What::Search(level) | What::Register(level) = what {
        let in_study = template.path.contains("{study}");
        let in_series = template.path.contains("{series}");
        let keys = [
            (STUDY_KEYS, !in_study),
            (SERIES_KEYS, !in_series && level != Level::Studies),
            (INSTANCE_KEYS, level == Level::Instances),
        ];
        for (keys, _) in keys.into_iter().filter(|(_, matched)| *matched) {
            keys.iter().for_each(|name| query(name, None));
        }
    }
    params
}

fn responses(template: &Template, method: &Method) -> Vec<ResponseNode> {
    let mut types: Vec<String> = Vec::new();
    for value in media_types(template, method) {
        let media_type = value.split("; transfer-syntax=").next().unwrap_or_default();
        if !types.iter().any(|known| known == media_type) {
            types.push(media_type.to_owned());
        }
    }
    let (good, bad) = match what(template, method) {
        What::Search(_) => ("200", "400 401 403 406 429 503"),
        What::Store => ("200 202 409", "400 401 403 413 415 429 503"),
        What::Register(_) => ("200 201", "400 401 403 404 408 413 429 503"),
        What::Manage => ("200", "400 401 403 404 429 503"),
        What::Operate => ("200", "400 401 403 404 408 409 413 429 503"),
        What::Schedule => ("200", "400 401 403 408 413 429 503"),
        What::Choose => ("204", "400 401 403 404 408 409 413 415 429 503"),
        What::Identify => ("204", "400 401 403 404 408 409 413 415 429 503"),
        What::Forget => ("204", "400 401 403 404 408 413 429 503"),
        What::Notify => ("101", "400 401 403 404 426 429 503"),
        _ => ("200", "400 401 403 404 406 410 429 503"),
    };
    let types = types.into_iter().map(representation).collect();
    let mut responses = vec![ResponseNode { status: good, representation: types }];
    if matches!(what(template, method), What::Search(_)) {
        responses.push(ResponseNode { status: "204", representation: Vec::new() });
    }
    let problem = vec![representation(PROBLEM_JSON.to_owned())];
    responses.push(ResponseNode { status: bad, representation: problem });
    responses
}

fn representation(media_type: String) -> Representation {
    Representation { media_type }
}

/// Whether the resource is (part of) one instance, so that it need not be multipart.
fn is_one_instance(template: &Template) -> bool {
    template.path.contains("{instance}")
}

fn related(root: &str) -> String {
    format!("multipart/related; type=\"{root}\"")
}

/// What can be accepted from a method, the default first; nothing where it answers without content.
fn media_types(template: &Template, method: &Method) -> Vec<String> {
    let one = is_one_instance(template);
    match what(template, method) {
        What::Describe => [CapabilitiesMedia::Wadl, CapabilitiesMedia::Json]
            .map(|media| media.essence().to_owned())
            .to_vec(),
        What::Search(_) | What::Metadata => vec![
            DatasetMedia::DicomJson.essence().to_owned(),
            DatasetMedia::Json.essence().to_owned(),
            related(DatasetMedia::DicomXmlMultipart.essence()),
        ],
        What::Store => vec![
            DatasetMedia::DicomJson.essence().to_owned(),
            related(DatasetMedia::DicomXmlMultipart.essence()),
        ],
        What::Retrieve => {
            let dicom = related("application/dicom");
            let mut types = vec![dicom.clone(), format!("{dicom}; transfer-syntax=*")];
            types.push(related("application/octet-stream"));
            if one {
                types.push("application/dicom".to_owned());
                types.push("application/dicom; transfer-syntax=*".to_owned());
            }
            types
        }
        What::Rendered => {
            let formats = || ImageFormat::ALL.iter().map(|format| format.essence());
            let (single, multipart) = (formats().map(str::to_owned), formats().map(related));
            // One image comes alone unless asked otherwise, many do not.
            if one {
                single.chain(multipart).collect()
            } else {
                let replace = formats().map(|root| format!("multipart/x-mixed-replace; type=\"{root}\""));
                multipart.chain(single).chain(replace).collect()
            }
        }
        What::BulkData => {
            let mut types = Vec::new();
            for media in BulkDataType::ALL {
                for uid in media.transfer_syntaxes() {
                    types.push(format!("{}; transfer-syntax={uid}", related(media.essence())));
                }
            }
            types.extend(BulkDataType::ALL.iter().map(|media| media.essence().to_owned()));
            types
        }
        What::Register(_) | What::Manage | What::Operate => vec![DatasetMedia::Json.essence().to_owned()],
        What::Schedule => vec![DatasetMedia::DicomJson.essence().to_owned()],
        What::Notify | What::Identify | What::Choose | What::Forget => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::{HeaderMap, HeaderValue};

    use super::super::super::media::{
        Accept, Extent, bulk_data, capabilities, datasets, instances, rendered,
    };
    use super::super::super::routes::TEMPLATES;
    use super::*;

    /// Every row with each of its methods that is described.
    fn all() -> impl Iterator<Item = (&'static Template, &'static Method)> {
        let methods = TEMPLATES.iter().flat_map(|row| row.methods.iter().map(move |method| (row, method)));
        methods.filter(|(_, method)| !matches!(**method, Method::HEAD | Method::OPTIONS))
    }

    fn row(path: &str) -> &'static Template {
        TEMPLATES.iter().find(|row| row.path == path).unwrap()
    }

    #[test]
    fn method_identifiers_are_those_of_the_standard_and_distinct() {
        let ids: BTreeSet<_> = all().map(|(row, method)| identifier(row, method)).collect();
        assert_eq!(ids.len(), all().count());
        for id in [
            "SearchForStudySeriesInstances",
            "StoreInstances",
            "StoreStudyInstances",
            "SendInstances",
            "SubscriptionToSeries",
            "RegisterSubscriptionToSeries",
            "DeleteSubscriptionToSeries",
            "SuspendSubscriptionToStudyInstances",
            "OpenNotificationConnection",
            "SetPatientOfCapture",
            "DeletePatientOfCapture",
            "SetStepOfCapture",
            "EmergencyAtCapture",
            "ListWorklist",
        ] {
            assert!(ids.contains(id), "{id}");
        }
    }

    #[test]
    fn what_is_said_to_be_acceptable_is_accepted() {
        for (template, method) in all() {
            let extent = if is_one_instance(template) { Extent::One } else { Extent::Many };
            for value in media_types(template, method) {
                let mut headers = HeaderMap::new();
                headers.insert(http::header::ACCEPT, HeaderValue::from_str(&value).unwrap());
                let accept = Accept::parse(&headers, []).unwrap();
                let accepted = match what(template, method) {
                    What::Describe => capabilities(&accept).is_ok(),
                    What::Search(_) | What::Metadata | What::Store => datasets(&accept).is_ok(),
                    What::Retrieve => instances(&accept, extent).is_ok(),
                    What::Rendered => rendered(&accept, extent).is_ok(),
                    What::BulkData => bulk_data(&accept, extent).is_ok(),
                    // Served whatever is accepted.
                    What::Register(_)
                    | What::Manage
                    | What::Notify
                    | What::Operate
                    | What::Identify
                    | What::Choose
                    | What::Forget => value == "application/json",
                    What::Schedule => value == "application/dicom+json",
                };
                assert!(accepted, "{}: {value}", template.path);
            }
        }
    }

    #[test]
    fn parameters_follow_the_transaction_and_what_the_path_fixes() {
        let names = |path: &str| -> Vec<&str> {
            parameters(row(path), &Method::GET).into_iter().map(|param| param.name).collect()
        };
        let all = names("/instances");
        for name in
            ["limit", "offset", "includefield", "fuzzymatching", "PatientID", "Modality", "SOPClassUID"]
        {
            assert!(all.contains(&name), "{name}");
        }
        assert!(!names("/studies").contains(&"Modality"));
        assert!(!names("/studies/{study}/series").contains(&"PatientID"));
        assert!(!names("/studies/{study}/series/{series}/instances").contains(&"Modality"));
        assert_eq!(names("/studies/{study}"), ["Accept", "accept", "from", "rate", "subscription"]);
        let instance = "/studies/{study}/series/{series}/instances/{instance}";
        assert_eq!(names(instance), ["Accept", "accept"]);
        let rendered = format!("{instance}/rendered");
        assert_eq!(names(&rendered), ["Accept", "accept", "quality", "viewport", "window"]);
        assert_eq!(names("/series/subscribers/{subscriber}"), ["Accept", "accept", "subscription"]);
        assert_eq!(names("/subscribers/{subscriber}"), ["channel", "after"]);
    }

    #[test]
    fn each_method_has_its_own_parameters_and_statuses() {
        let described = |path: &str, method: Method| {
            let params: Vec<_> = parameters(row(path), &method).into_iter().map(|param| param.name).collect();
            let statuses = responses(row(path), &method).into_iter().map(|response| response.status);
            (params, statuses.collect::<Vec<_>>())
        };
        let (params, statuses) = described("/studies/{study}/series/subscribers/{subscriber}", Method::POST);
        for name in ["destination", "rate", "from", "lease", "paused", "update", "subscription", "Modality"] {
            assert!(params.contains(&name), "{name}");
        }
        assert!(!params.contains(&"PatientID"), "the path names the study");
        assert_eq!(statuses, ["200 201", "400 401 403 404 408 413 429 503"]);
        let (params, statuses) = described("/series/subscribers/{subscriber}", Method::DELETE);
        assert_eq!(params, ["Accept", "accept", "subscription"]);
        assert_eq!(statuses, ["200", "400 401 403 404 429 503"]);
        for path in ["/studies", "/studies/{study}", "/instances"] {
            let (params, statuses) = described(path, Method::POST);
            assert_eq!(params, ["Accept", "accept"]);
            assert_eq!(statuses, ["200 202 409", "400 401 403 413 415 429 503"]);
            let post = of(row(path)).find(|method| method.name == "POST").unwrap();
            assert_eq!(post.request.representation.len(), 2, "{path}");
        }
    }
}
