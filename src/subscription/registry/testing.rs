//! What tests register.

use std::sync::Arc;

use super::{Delivery, Form, Options, Request, Subscriber};
use crate::hub::From;
use crate::subscription::query::Query;
use crate::subscription::scope::{Level, Scope};

/// A search of all series with these keys, delivered as events: nobody's, and without any limit.
pub(crate) fn request(subscriber: &str, keys: &str) -> Request {
    let query = Query::parse(keys, &[]).unwrap();
    Request {
        subscriber: Subscriber::parse(subscriber).unwrap(),
        owner: None,
        scope: Scope { level: Level::Series, study: None, series: None },
        keys: Arc::clone(query.canonical()),
        query,
        restriction: None,
        delivery: Delivery::Notification,
        from: From::Oldest,
        form: Form::AsTheyAre,
        options: Options { rate: None, paused: false },
        lease: None,
        base: "https://box/dicomweb".into(),
    }
}
