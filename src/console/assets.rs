//! The files that the page is made of, built into the program. Each is served under a name that holds a digest of all
//! of them, so that a browser may keep it for ever and never mixes those of two releases; the page itself, which
//! names them, is asked for every time.
//!
//! In the files, each other's names stand as they are, in quotes and relative: `"./app.js"`. What is quoted and names
//! a file becomes its URL here, at the start; so there is no build step, and no inline import map, which our
//! policy would forbid.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, HeaderValue, VARY};
use http::{HeaderMap, Response};

use super::answer::content;
use super::random::hex;
use crate::net::http::Body;

/// Where they are.
const FOLDER: &str = "/assets/";
/// The page.
const PAGE: &str = "index.html";
/// A year.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_bytes!(concat!("assets/", $name)))),*] };
}

/// All of them, by their paths below `assets/`; a test holds the list to the folder.
const FILES: &[(&str, &[u8])] = files![
    "api.js",
    "console.css",
    "destination-test.js",
    "feed.js",
    "findings.js",
    "format.js",
    "histogram.js",
    "html.js",
    "icon.svg",
    "index.html",
    "live-picture.js",
    "login.js",
    "main.js",
    "page-configuration.js",
    "page-destinations.js",
    "page-journal.js",
    "page-live.js",
    "page-network.js",
    "page-relay.js",
    "page-streams.js",
    "page-system.js",
    "parts.js",
    "patient.js",
    "vendor/hooks.js",
    "vendor/htm.js",
    "vendor/preact.js",
    "worklist.js",
];

/// One file, ready to be sent.
#[derive(Debug)]
struct Asset {
    media: &'static str,
    plain: Bytes,
    /// Compressed by gzip (RFC 1952), where that makes it smaller.
    packed: Option<Bytes>,
}

/// All of them, by the last part of their URLs.
#[derive(Debug)]
pub(super) struct Assets {
    page: Option<Asset>,
    named: HashMap<String, Asset>,
}

impl Assets {
    /// Those that are built in.
    pub(super) fn built_in() -> Self {
        Self::of(FILES)
    }

    fn of(files: &[(&str, &'static [u8])]) -> Self {
        let mut context = Context::new(&SHA256);
        for (name, bytes) in files {
            context.update(name.as_bytes());
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        }
        let digest = hex(context.finish().as_ref().get(..8).unwrap_or_default());
        let names: BTreeMap<&str, String> = files
            .iter()
            .filter(|(name, _)| *name != PAGE)
            .map(|(name, _)| (*name, named(name, &digest)))
            .collect();
        let (mut page, mut assets) = (None, HashMap::new());
        for (name, bytes) in files {
            let asset = Asset::of(name, bytes, &names);
            match names.get(name) {
                Some(name) => drop(assets.insert(name.clone(), asset)),
                None => page = Some(asset),
            }
        }
        Self { page, named: assets }
    }

    /// The page.
    pub(super) fn page(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        let mut response = self.page.as_ref()?.respond(headers);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Some(response)
    }

    /// A file by the last part of its URL.
    pub(super) fn named(&self, name: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        let mut response = self.named.get(name)?.respond(headers);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
        Some(response)
    }
}

impl Asset {
    fn of(name: &str, bytes: &'static [u8], names: &BTreeMap<&str, String>) -> Self {
        let media = media(name);
        let is_text = media.contains("charset");
        let plain = match std::str::from_utf8(bytes) {
            Ok(text) if is_text => Bytes::from(linked(name, text, names)),
            _ => Bytes::from_static(bytes),
        };
        let packed = pack(&plain).filter(|packed| is_text && packed.len() < plain.len());
        Self { media, plain, packed }
    }

    fn respond(&self, headers: &HeaderMap) -> Response<Body> {
        let mut response = match self.packed.as_ref().filter(|_| takes_gzip(headers)) {
            Some(packed) => {
                let mut response = content(self.media, packed.clone());
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            None => content(self.media, self.plain.clone()),
        };
        if self.packed.is_some() {
            response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }
}

/// `vendor/lib.js` → `vendor-lib.0123456789abcdef.js`.
fn named(name: &str, digest: &str) -> String {
    let flat = name.replace('/', "-");
    match flat.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem}.{digest}.{ending}"),
        None => format!("{flat}.{digest}"),
    }
}

/// The text of the file `of`, with URLs in the place of the quoted names of others.
fn linked(of: &str, text: &str, names: &BTreeMap<&str, String>) -> String {
    let folder = of.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut linked = text.to_owned();
    for (name, asset) in names {
        let Some(relative) = relative(folder, name) else { continue };
        for quote in ['"', '\''] {
            linked = linked
                .replace(&format!("{quote}{relative}{quote}"), &format!("{quote}{FOLDER}{asset}{quote}"));
        }
    }
    linked
}

/// How a file in `folder` names another: `./x.js`, `./vendor/x.js` from above, `../x.js` from `vendor/`.
fn relative(folder: &str, name: &str) -> Option<String> {
    if folder.is_empty() {
        return Some(format!("./{name}"));
    }
    if let Some(rest) = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
        return Some(format!("./{rest}"));
    }
    // One level is all that there is.
    (!folder.contains('/')).then(|| format!("../{name}"))
}

fn media(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        "json" => "application/json; charset=utf-8",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

fn pack(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether gzip is among what a client takes (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let refused =
            |weight: &str| weight.strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http_body_util::BodyExt;

    use super::*;

    const SITE: &[(&str, &[u8])] = &[
        ("index.html", b"<script src=\"./app.js\" type=\"module\"></script><link href='./style.css'>"),
        ("app.js", b"import { h } from \"./vendor/h.js\"; // ./app.js, \"./other.js\""),
        ("vendor/h.js", b"import \"./i.js\"; import '../app.js'"),
        ("vendor/i.js", b"export {}"),
        ("style.css", b"@font-face { src: url(\"./f.woff2\") }"),
        ("f.woff2", b"\0\xff"),
    ];

    async fn text(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn files_name_each_other_by_names_that_change_with_any_of_them() {
        let assets = Assets::of(SITE);
        let none = HeaderMap::new();
        let page = text(assets.page(&none).unwrap()).await;
        let app = page.split('"').nth(1).unwrap();
        assert!(app.starts_with("/assets/app.") && app.ends_with(".js"), "{page}");
        assert!(page.contains("'/assets/style."), "{page}");
        let app = assets.named(app.strip_prefix(FOLDER).unwrap(), &none).unwrap();
        assert_eq!(app.headers()[CACHE_CONTROL], FOR_EVER);
        let app = text(app).await;
        assert!(app.contains("\"/assets/vendor-h.") && app.contains("// ./app.js, \"./other.js\""), "{app}");
        let h = app.split('"').nth(1).unwrap().strip_prefix(FOLDER).unwrap();
        let h = text(assets.named(h, &none).unwrap()).await;
        assert!(h.contains("\"/assets/vendor-i.") && h.contains("'/assets/app."), "{h}");
        assert!(assets.named("app.js", &none).is_none() && assets.named("index.html", &none).is_none());
        let mut other = SITE.to_vec();
        other[5].1 = b"\0\xfe";
        let other = text(Assets::of(&other).page(&none).unwrap()).await;
        assert_ne!(page, other);
    }

    #[tokio::test]
    async fn text_is_compressed_for_those_who_take_it() {
        let long = Box::leak("let x = 1;\n".repeat(100).into_boxed_str()).as_bytes();
        let assets = Assets::of(&[("index.html", long)]);
        for (accepts, gzip) in
            [("gzip", true), ("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false), ("", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepts));
            let response = assets.page(&headers).unwrap();
            assert_eq!(response.headers().contains_key(CONTENT_ENCODING), gzip, "{accepts}");
            assert_eq!(response.headers()[VARY], "accept-encoding");
        }
    }

    #[test]
    fn the_list_is_the_folder() {
        fn walk(folder: &Path, below: &str, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = format!("{below}{}", entry.file_name().to_str().unwrap());
                if entry.path().is_dir() {
                    walk(&entry.path(), &format!("{name}/"), found);
                } else {
                    found.push(name);
                }
            }
        }
        let mut found = Vec::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/assets"), "", &mut found);
        found.retain(|name| !name.ends_with(".md") && !name.contains("LICEN"));
        found.sort();
        let mut listed: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        listed.sort();
        assert_eq!(listed, found, "name the files of src/console/assets in FILES");
    }
}
