//! The Capabilities Description (PS3.18 §8.9, Annex H): what this server serves, for programs.
//!
//! A tree of resources, the methods of each, and for each method its parameters, statuses and
//! media types. The tree is grown from [`TEMPLATES`] and the media types
//! are those that [`media`](super::media) negotiates, so that the description follows what is
//! served. It is written as WADL and, in the same shape, as JSON. What each method takes and gives is
//! said in [`methods`].

mod methods;

use std::io;

use bytes::Bytes;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, Event};
use serde::Serialize;

use super::media::CapabilitiesMedia;
use super::routes::{TEMPLATES, Template, Transaction, pattern_segments};

/// XML namespace of WADL.
const WADL: &str = "http://wadl.dev.java.net/2009/02";

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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    representation: Vec<Representation>,
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
            self.method.extend(methods::of(template));
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

impl Representation {
    fn write(&self, xml: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let element = xml.create_element("representation");
        element.with_attribute(("mediaType", &*self.media_type)).write_empty()?;
        Ok(())
    }
}

impl MethodNode {
    fn write(&self, xml: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let element = xml.create_element("method").with_attributes([("name", self.name), ("id", &self.id)]);
        element.write_inner_content(|xml| {
            let request = xml.create_element("request");
            request.write_inner_content(|xml| {
                self.request.param.iter().try_for_each(|param| param.write(xml))?;
                self.request.representation.iter().try_for_each(|representation| representation.write(xml))
            })?;
            self.response.iter().try_for_each(|response| {
                let element = xml.create_element("response").with_attribute(("status", response.status));
                element.write_inner_content(|xml| {
                    response.representation.iter().try_for_each(|representation| representation.write(xml))
                })?;
                Ok(())
            })
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
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
        let methods = rows.flat_map(|row| row.methods.iter().map(move |method| (row, method)));
        let told = methods.filter(|(_, method)| !matches!(**method, Method::HEAD | Method::OPTIONS));
        told.map(|(row, method)| {
            (row.path.replace("{+", "{"), method.to_string(), methods::identifier(row, method))
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
}
