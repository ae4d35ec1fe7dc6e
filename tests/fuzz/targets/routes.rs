//! A request path; and the URL made of what it names leads back to it.
#![no_main]

use framegate::dicomweb::routes::{BASE, Route, Urls, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let _ = parse(input);
    let Ok(found) = parse(&format!("{BASE}{input}")) else { return };
    let urls = Urls::new(BASE);
    let url = match &found.route {
        Route::Retrieve(resource) => urls.resource(resource),
        Route::Frames(resource, frames) => match (&resource.series, &resource.instance) {
            (Some(series), Some(instance)) => urls.frames(&resource.study, series, instance, frames),
            _ => panic!("frames of no instance"),
        },
        Route::Bulkdata(resource, path) => match (&resource.series, &resource.instance) {
            (Some(series), Some(instance)) => urls.bulkdata(&resource.study, series, instance, path),
            _ => panic!("bulkdata of no instance"),
        },
        _ => return,
    };
    assert_eq!(parse(&url).map(|again| again.route), Ok(found.route));
});
