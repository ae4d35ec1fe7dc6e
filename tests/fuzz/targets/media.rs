//! What a request accepts: a line for the query parameter, a line for the header, and what every
//! kind of resource makes of it.
#![no_main]

use framegate::dicomweb::media::{
    Accept, Extent, RenderParameters, bulk_data, capabilities, datasets, instances, rendered,
};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(2, |&byte| byte == b'\n');
    let query = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let header = lines.next().unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let _ = RenderParameters::parse(pairs);
    let headers = HeaderValue::from_bytes(header).ok().map(|value| (ACCEPT, value));
    let query = (!query.is_empty()).then_some(query);
    let Ok(accept) = Accept::parse(&HeaderMap::from_iter(headers), query) else { return };
    for extent in [Extent::One, Extent::Many] {
        let _ = instances(&accept, extent).map(|all| assert!(!all.is_empty()));
        let _ = bulk_data(&accept, extent).map(|all| assert!(!all.is_empty()));
        let _ = rendered(&accept, extent).map(|all| assert!(!all.is_empty()));
    }
    let _ = datasets(&accept).map(|all| assert!(!all.is_empty()));
    let _ = capabilities(&accept).map(|all| assert!(!all.is_empty()));
});
