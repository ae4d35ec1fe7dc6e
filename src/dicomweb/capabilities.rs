//! The Capabilities Description (PS3.18 §8.9, Annex H): what this server serves, for programs.
//!
//! A tree of resources, the methods of each, and for each method its parameters, statuses and
//! media types. The tree is grown from [`TEMPLATES`] and the media types
//! are those that [`media`](super::media) negotiates, so that the description follows what is
//! served. It is written as WADL and, in the same shape, as JSON.

use std::io;

use bytes::Bytes;
use http::Method;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, Event};
use serde::Serialize;

use super::media::{BulkDataType, CapabilitiesMedia, DatasetMedia, ImageFormat};
use super::problem::PROBLEM_JSON;
use super::routes::{TEMPLATES, Template, Transaction, pattern_segments};
use crate::subscription::scope::Level;

/// XML namespace of WADL.
const WADL: &str = "http://wadl.dev.java.net/2009/02";

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
];
const RENDERED_PARAMETERS: &[(&str, &str)] = &[
    ("quality", "quality of a lossy encoding, 1 to 100"),
    ("viewport", "vw,vh[,sx,sy,sw,sh] in pixels"),
    ("window", "center,width,function with function linear, linear-exact or sigmoid"),
];

/// The description, ready to be written in either form.
#[derive(Debug, Serialize)]
pub struct Capabilities {
    base: String,
    resource: Vec<ResourceNode>,
}

/// One path segment, and what stands at and below it.
#[derive(Debug, Serialize)]
struct ResourceNode {
    path: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    param: Vec<Parameter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    method: Vec<MethodNode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<ResourceNode>,
}

#[derive(Debug, Serialize)]
struct MethodNode {
    name: &'static str,
    id: String,
    request: Request,
    response: Vec<ResponseNode>,
}

#[derive(Debug, Serialize)]
struct Request {
    param: Vec<Parameter>,
}

/// A parameter of a path (`template`), query or header.
#[derive(Debug, Serialize)]
struct Parameter {
    name: &'static str,
    style: &'static str,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    option: Vec<OptionNode>,
}

#[derive(Debug, Serialize)]
struct OptionNode {
    value: String,
}

#[derive(Debug, Serialize)]
struct ResponseNode {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    representation: Vec<Representation>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Representation {
    media_type: String,
}

impl Capabilities {
    /// The description of the service whose root clients reach at `base`, such as
    /// `https://host:port/dicomweb`.
    pub fn new(base: &str) -> Self {
        let mut resource = Vec::new();
        // WADL does not describe the transaction that retrieves it (Table H-1).
        for template in TEMPLATES.iter().filter(|row| row.transaction != Transaction::Capabilities) {
            let segments: Vec<_> = pattern_segments(template.path).collect();
            plant(&mut resource, &segments, template);
        }
        Self { base: base.to_owned(), resource }
    }

    /// The document in this media type.
    ///
    /// # Errors
    /// Only when out of memory: it is written to a buffer.
    pub fn document(&self, media: CapabilitiesMedia) -> io::Result<Bytes> {
        match media {
            CapabilitiesMedia::Wadl => self.wadl(),
            CapabilitiesMedia::Json | CapabilitiesMedia::DicomJson => self.json(),
        }
    }

    fn json(&self) -> io::Result<Bytes> {
        let document = serde_json::json!({ "application": { "resources": self } });
        Ok(Bytes::from(serde_json::to_vec(&document)?))
    }

    fn wadl(&self) -> io::Result<Bytes> {
        let mut xml = Writer::new_with_indent(Vec::new(), b' ', 1);
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let application = xml.create_element("application");
        application
            .with_attributes([("xmlns", WADL), ("xmlns:xsd", "http://www.w3.org/2001/XMLSchema")])
            .write_inner_content(|xml| {
                let resources = xml.create_element("resources").with_attribute(("base", &*self.base));
                resources
                    .write_inner_content(|xml| self.resource.iter().try_for_each(|node| node.write(xml)))?;
                Ok(())
            })?;
        Ok(Bytes::from(xml.into_inner()))
    }
}

/// Puts the methods of a row where its remaining segments lead, making what is missing of the way.
fn plant(level: &mut Vec<ResourceNode>, segments: &[&'static str], template: &'static Template) {
    let Some((segment, rest)) = segments.split_first() else { return };
    let mut fresh = ResourceNode::new(segment);
    match level.iter_mut().find(|node| node.path == fresh.path) {
        Some(node) => node.plant(rest, template),
        None => {
            fresh.plant(rest, template);
            level.push(fresh);
        }
    }
}

/// The methods of a row. HEAD goes without saying (RFC 9110 §9.3.2), OPTIONS is what this is.
fn methods(template: &'static Template) -> impl Iterator<Item = MethodNode> {
    let told = template.methods.iter().filter(|method| !matches!(**method, Method::HEAD | Method::OPTIONS));
    told.map(|method| MethodNode {
        name: method.as_str(),
        id: identifier(template.name),
        request: Request { param: parameters(template) },
        response: responses(template),
    })
}

/// `Search for Studies` → `SearchForStudies`, as PS3.18 writes the identifiers of methods.
fn identifier(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for word in name.split(' ') {
        let mut chars = word.chars();
        id.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(chars.as_str());
    }
    id
}

fn parameters(template: &Template) -> Vec<Parameter> {
    let types = media_types(template);
    let default = types.first().cloned();
    let mut params = vec![Parameter {
        default,
        option: types.into_iter().map(|value| OptionNode { value }).collect(),
        ..Parameter::new("Accept", "header", None)
    }];
    let mut query = |name, doc| params.push(Parameter::new(name, "query", doc));
    query("accept", Some("acceptable media types, where a client cannot set header fields"));
    let tables: &[&[(&str, &str)]] = match template.transaction {
        Transaction::Search(_) => &[SEARCH_PARAMETERS],
        Transaction::Retrieve if !is_one_instance(template) => &[LIVE_PARAMETERS],
        Transaction::Rendered if !is_one_instance(template) => &[LIVE_PARAMETERS, RENDERED_PARAMETERS],
        Transaction::Rendered | Transaction::RenderedFrames => &[RENDERED_PARAMETERS],
        _ => &[],
    };
    for (name, doc) in tables.iter().copied().flatten() {
        query(name, Some(doc));
    }
    if let Transaction::Search(level) = template.transaction {
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

fn responses(template: &Template) -> Vec<ResponseNode> {
    let problem = || vec![Representation { media_type: PROBLEM_JSON.to_owned() }];
    let mut types: Vec<String> = Vec::new();
    for value in media_types(template) {
        let media_type = value.split("; transfer-syntax=").next().unwrap_or_default();
        if !types.iter().any(|known| known == media_type) {
            types.push(media_type.to_owned());
        }
    }
    let representation = types.into_iter().map(|media_type| Representation { media_type }).collect();
    let mut responses = vec![ResponseNode { status: "200", representation }];
    if matches!(template.transaction, Transaction::Search(_)) {
        responses.push(ResponseNode { status: "204", representation: Vec::new() });
        responses.push(ResponseNode { status: "400 406 429 503", representation: problem() });
    } else {
        responses.push(ResponseNode { status: "400 404 406 410 429 503", representation: problem() });
    }
    responses
}

/// Whether the resource is (part of) one instance, so that it need not be multipart.
fn is_one_instance(template: &Template) -> bool {
    template.path.contains("{instance}")
}

fn related(root: &str) -> String {
    format!("multipart/related; type=\"{root}\"")
}

/// What can be accepted from a resource, the default first.
fn media_types(template: &Template) -> Vec<String> {
    let one = is_one_instance(template);
    match template.transaction {
        Transaction::Capabilities => [CapabilitiesMedia::Wadl, CapabilitiesMedia::Json]
            .map(|media| media.essence().to_owned())
            .to_vec(),
        Transaction::Search(_) | Transaction::Metadata => vec![
            DatasetMedia::DicomJson.essence().to_owned(),
            DatasetMedia::Json.essence().to_owned(),
            related(DatasetMedia::DicomXmlMultipart.essence()),
        ],
        Transaction::Retrieve => {
            let dicom = related("application/dicom");
            let mut types = vec![dicom.clone(), format!("{dicom}; transfer-syntax=*")];
            types.push(related("application/octet-stream"));
            if one {
                types.push("application/dicom".to_owned());
                types.push("application/dicom; transfer-syntax=*".to_owned());
            }
            types
        }
        Transaction::Rendered | Transaction::RenderedFrames => {
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
        Transaction::Frames | Transaction::Bulkdata => {
            let mut types = Vec::new();
            for media in BulkDataType::ALL {
                for uid in media.transfer_syntaxes() {
                    types.push(format!("{}; transfer-syntax={uid}", related(media.essence())));
                }
            }
            types.extend(BulkDataType::ALL.iter().map(|media| media.essence().to_owned()));
            types
        }
        Transaction::Subscription(_)
        | Transaction::Suspend(_)
        | Transaction::Resume(_)
        | Transaction::Notifications => vec![DatasetMedia::Json.essence().to_owned()],
    }
}

impl Parameter {
    fn new(name: &'static str, style: &'static str, doc: Option<&'static str>) -> Self {
        Self { name, style, required: false, default: None, doc, option: Vec::new() }
    }

    fn write(&self, xml: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let required = if self.required { "true" } else { "false" };
        let mut element = xml.create_element("param").with_attributes([
            ("name", self.name),
            ("style", self.style),
            ("type", "xsd:string"),
            ("required", required),
        ]);
        if let Some(default) = &self.default {
            element = element.with_attribute(("default", &**default));
        }
        if self.doc.is_none() && self.option.is_empty() {
            element.write_empty()?;
            return Ok(());
        }
        element.write_inner_content(|xml| {
            if let Some(doc) = self.doc {
                let text = quick_xml::events::BytesText::new(doc);
                xml.create_element("doc").write_text_content(text)?;
            }
            for option in &self.option {
                xml.create_element("option").with_attribute(("value", &*option.value)).write_empty()?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl ResourceNode {
    fn new(segment: &'static str) -> Self {
        // WADL paths know plain variables only.
        let path = segment.replace("{+", "{");
        let variable = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let param = variable.map(|name| Parameter {
            required: true,
            ..Parameter::new(name.trim_start_matches('+'), "template", None)
        });
        Self { path, param: param.into_iter().collect(), method: Vec::new(), resource: Vec::new() }
    }

    fn plant(&mut self, segments: &[&'static str], template: &'static Template) {
        if segments.is_empty() {
            self.method.extend(methods(template));
        } else {
            plant(&mut self.resource, segments, template);
        }
    }

    fn write(&self, xml: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let element = xml.create_element("resource").with_attribute(("path", &*self.path));
        element.write_inner_content(|xml| {
            self.param.iter().try_for_each(|param| param.write(xml))?;
            self.method.iter().try_for_each(|method| method.write(xml))?;
            self.resource.iter().try_for_each(|node| node.write(xml))
        })?;
        Ok(())
    }
}

impl MethodNode {
    fn write(&self, xml: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let element = xml.create_element("method").with_attributes([("name", self.name), ("id", &self.id)]);
        element.write_inner_content(|xml| {
            let request = xml.create_element("request");
            request.write_inner_content(|xml| {
                self.request.param.iter().try_for_each(|param| param.write(xml))
            })?;
            self.response.iter().try_for_each(|response| {
                let element = xml.create_element("response").with_attribute(("status", response.status));
                element.write_inner_content(|xml| {
                    response.representation.iter().try_for_each(|representation| {
                        let element = xml.create_element("representation");
                        element.with_attribute(("mediaType", &*representation.media_type)).write_empty()?;
                        Ok(())
                    })
                })?;
                Ok(())
            })
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::media::{Accept, Extent, bulk_data, capabilities, datasets, instances, rendered};
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use quick_xml::Reader;
    use serde_json::Value;
    use std::collections::BTreeSet;

    const BASE: &str = "https://box:8443/dicomweb";

    fn document(media: CapabilitiesMedia) -> String {
        String::from_utf8(Capabilities::new(BASE).document(media).unwrap().to_vec()).unwrap()
    }

    /// Path, method and identifier of every row that a description must hold.
    fn expected() -> BTreeSet<(String, String, String)> {
        let rows = TEMPLATES.iter().filter(|row| row.path != "/");
        rows.map(|row| {
            let id = identifier(row.name);
            (row.path.replace("{+", "{"), "GET".to_owned(), id)
        })
        .collect()
    }

    #[test]
    fn the_wadl_describes_every_template() {
        let text = document(CapabilitiesMedia::Wadl);
        let mut reader = Reader::from_str(&text);
        let (mut path, mut found, mut elements) = (Vec::new(), BTreeSet::new(), Vec::new());
        loop {
            let attribute = |element: &quick_xml::events::BytesStart<'_>, name: &str| {
                let attribute = element.try_get_attribute(name).unwrap().unwrap();
                attribute.unescape_value().unwrap().into_owned()
            };
            match reader.read_event().unwrap() {
                Event::Start(element) => {
                    let name = String::from_utf8(element.name().as_ref().to_vec()).unwrap();
                    match &*name {
                        "resource" => path.push(attribute(&element, "path")),
                        "resources" => assert_eq!(attribute(&element, "base"), BASE),
                        "method" => {
                            let path = format!("/{}", path.join("/"));
                            let method = attribute(&element, "name");
                            assert!(found.insert((path, method, attribute(&element, "id"))));
                        }
                        _ => {}
                    }
                    elements.push(name);
                }
                Event::End(end) => {
                    elements.pop().unwrap();
                    path.truncate(path.len() - usize::from(end.name().as_ref() == b"resource"));
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert!(elements.is_empty());
        assert_eq!(found, expected());
        assert!(text.contains(r#"<application xmlns="http://wadl.dev.java.net/2009/02""#));
        assert_eq!(text.matches("<resource path=\"studies\"").count(), 1);
    }

    #[test]
    fn the_json_describes_every_template() {
        fn walk(node: &Value, path: &str, found: &mut BTreeSet<(String, String, String)>) {
            for child in node["resource"].as_array().into_iter().flatten() {
                let path = format!("{path}/{}", child["path"].as_str().unwrap());
                for method in child["method"].as_array().into_iter().flatten() {
                    let text = |key: &str| method[key].as_str().unwrap().to_owned();
                    assert!(found.insert((path.clone(), text("name"), text("id"))));
                }
                walk(child, &path, found);
            }
        }
        let document: Value = serde_json::from_str(&document(CapabilitiesMedia::Json)).unwrap();
        let resources = &document["application"]["resources"];
        assert_eq!(resources["base"], BASE);
        let mut found = BTreeSet::new();
        walk(resources, "", &mut found);
        assert_eq!(found, expected());
    }

    #[test]
    fn method_identifiers_are_those_of_the_standard_and_distinct() {
        let ids: BTreeSet<_> = TEMPLATES.iter().map(|row| identifier(row.name)).collect();
        assert_eq!(ids.len(), TEMPLATES.len());
        assert!(ids.contains("SearchForStudySeriesInstances"));
    }

    #[test]
    fn what_is_said_to_be_acceptable_is_accepted() {
        for template in TEMPLATES {
            let extent = if is_one_instance(template) { Extent::One } else { Extent::Many };
            for value in media_types(template) {
                let mut headers = HeaderMap::new();
                headers.insert(http::header::ACCEPT, HeaderValue::from_str(&value).unwrap());
                let accept = Accept::parse(&headers, []).unwrap();
                let accepted = match template.transaction {
                    Transaction::Capabilities => capabilities(&accept).is_ok(),
                    Transaction::Search(_)
                    | Transaction::Metadata
                    | Transaction::Subscription(_)
                    | Transaction::Suspend(_)
                    | Transaction::Resume(_)
                    | Transaction::Notifications => datasets(&accept).is_ok(),
                    Transaction::Retrieve => instances(&accept, extent).is_ok(),
                    Transaction::Rendered | Transaction::RenderedFrames => rendered(&accept, extent).is_ok(),
                    Transaction::Frames | Transaction::Bulkdata => bulk_data(&accept, extent).is_ok(),
                };
                assert!(accepted, "{}: {value}", template.path);
            }
        }
    }

    #[test]
    fn parameters_follow_the_transaction_and_what_the_path_fixes() {
        let names = |path: &str| -> Vec<&str> {
            let template = TEMPLATES.iter().find(|row| row.path == path).unwrap();
            parameters(template).into_iter().map(|param| param.name).collect()
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
        assert_eq!(names("/studies/{study}"), ["Accept", "accept", "from", "rate"]);
        let instance = "/studies/{study}/series/{series}/instances/{instance}";
        assert_eq!(names(instance), ["Accept", "accept"]);
        let rendered = format!("{instance}/rendered");
        assert_eq!(names(&rendered), ["Accept", "accept", "quality", "viewport", "window"]);
    }
}
