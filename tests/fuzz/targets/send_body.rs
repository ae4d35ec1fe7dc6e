//! A body of Send. First byte of the input: which form it has; second: how many bytes arrive at a
//! time. How it is cut changes nothing.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use framegate::audit::Transfers;
use framegate::config::settings::{HubSettings, SendSettings};
use framegate::hub::Hub;
use framegate::net::multipart::ContentType;
use framegate::source::send::report::{End, Report};
use framegate::source::send::{Of, SendCounters, SendSource};
use libfuzzer_sys::fuzz_target;

const LISTED: usize = 5;

fuzz_target!(|input: &[u8]| {
    let [form, chunk, body @ ..] = input else { return };
    let root = if form % 2 == 0 { "application/dicom" } else { "application/dicom+json" };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let whole = runtime.block_on(send(root, body, body.len().max(1)));
    let parts = runtime.block_on(send(root, body, usize::from(*chunk) + 1));
    assert_eq!(whole, parts);
});

/// What the response says, and the Part 10 files in the hub.
async fn send(root: &str, body: &[u8], chunk: usize) -> (String, Vec<Vec<u8>>) {
    let hub = Hub::new(HubSettings {
        budget_bytes: 64 << 10,
        linger: Duration::ZERO,
        max_series: 4,
        ..HubSettings::default()
    });
    let settings = SendSettings {
        head_bytes: 16 << 10,
        frame_bytes: 16 << 10,
        frames: 64,
        elements: 500,
        nesting: 8,
        listed: LISTED,
        ..SendSettings::default()
    };
    let source =
        SendSource::new(hub.clone(), Arc::new(ArcSwap::from_pointee(settings)), SendCounters::default());
    let content = format!("multipart/related; type=\"{root}\"; boundary=b");
    let content = ContentType::parse(&content).unwrap();
    let mut intake = source
        .begin(&content, Of { study: Some("1.2.3".into()), principal: None, transfers: Transfers::default() })
        .unwrap();
    let mut end = End::Body;
    for chunk in body.chunks(chunk) {
        if intake.feed(Bytes::copy_from_slice(chunk)).await.is_err() {
            end = End::Malformed;
            break;
        }
    }
    let Report { taken, failed, unidentified, end, .. } = intake.finish(end);
    for length in [taken.len(), failed.len(), unidentified.len()] {
        assert!(length <= LISTED);
    }
    let held = hub.series().iter().flat_map(|live| live.instances()).collect::<Vec<_>>();
    assert!(hub.occupancy().bytes <= 64 << 10);
    for instance in &held {
        assert_eq!(&*instance.identity().study, "1.2.3", "an instance of another study");
        let _ = (instance.dataset(), instance.object(), instance.fragments());
    }
    let files = held.iter().map(|instance| instance.part10().concat()).collect();
    (format!("{end:?} {taken:?} {failed:?} {unidentified:?}"), files)
}
