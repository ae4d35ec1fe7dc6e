//! What a reload may change. The table of keys says of every key whether a new value holds without
//! a restart; this module compares two configurations by it, and makes the settings that hold
//! after the reload: the new ones, with what needs a restart kept from the old.

use std::collections::BTreeMap;

use super::keys;
use super::load::Loaded;
use super::settings::{
    ConsoleSettings, DicomwebSettings, DimseSettings, HubSettings, RelaySettings, ServiceSettings, Settings,
};

/// The keys that differ between two configurations, in the order of the sections, those that have
/// gone last. A named section that has come or gone is named as a whole, such as `destination.pacs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Dotted keys whose new value holds from the reload on.
    pub applied: Vec<String>,
    /// Dotted keys whose new value waits for a restart.
    pub needs_restart: Vec<String>,
}

/// Compares by value; where a value comes from does not matter.
pub fn changes(old: &Loaded, new: &Loaded) -> Changes {
    let by_path = |loaded: &Loaded| -> BTreeMap<String, toml::Value> {
        loaded.values.iter().map(|value| (value.key.clone(), value.value.clone())).collect()
    };
    let (before, after) = (by_path(old), by_path(new));
    let mut changes = Changes::default();
    let gone = old.values.iter().filter(|value| !after.contains_key(&value.key));
    for value in new.values.iter().chain(gone) {
        let path = match (before.get(&value.key), after.get(&value.key)) {
            (was, is) if was == is => continue,
            (Some(_), Some(_)) => value.key.as_str(),
            // Only whole sections come and go: what one leaves out has its default.
            _ => value.key.rsplit_once('.').map_or(value.key.as_str(), |(section, _)| section),
        };
        let reloads = keys::find(&value.key).is_some_and(|key| key.reloads);
        let list = if reloads { &mut changes.applied } else { &mut changes.needs_restart };
        if list.last().is_none_or(|last| last != path) {
            list.push(path.to_owned());
        }
    }
    changes
}

/// The settings after a reload: `new`, but for the values that need a restart, which stay `old`.
/// The listeners stay those that are open, and so do the paths of their certificates; what is in
/// those files is read again.
pub fn merge_reloadable(old: &Settings, new: &Settings) -> Settings {
    Settings {
        hub: HubSettings { max_series: old.hub.max_series, ..new.hub.clone() },
        dimse: DimseSettings { listen: old.dimse.listen, tls: old.dimse.tls.clone(), ..new.dimse.clone() },
        dicomweb: DicomwebSettings {
            listen: old.dicomweb.listen,
            tls: old.dicomweb.tls.clone(),
            ..new.dicomweb.clone()
        },
        console: ConsoleSettings {
            listen: old.console.listen,
            tls: old.console.tls.clone(),
            ..new.console.clone()
        },
        access: new.access.clone(),
        send: new.send.clone(),
        subscriptions: new.subscriptions.clone(),
        destinations: new.destinations.clone(),
        standing: new.standing.clone(),
        availability: new.availability.clone(),
        relays: new
            .relays
            .iter()
            .map(|(name, relay)| {
                let listen = old.relays.get(name).and_then(|old| old.listen);
                (name.clone(), RelaySettings { listen, ..relay.clone() })
            })
            .collect(),
        spool: old.spool.clone(),
        worklists: new.worklists.clone(),
        mpps: new.mpps.clone(),
        audit: new.audit.clone(),
        captures: old.captures.clone(),
        pattern: old.pattern.clone(),
        metrics: old.metrics.clone(),
        service: ServiceSettings { log: new.service.log.clone(), ..old.service.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    /// For every key: the text of its variable, or in a named section the value in TOML, that the base
    /// below does not have.
    const OTHER: &[(&str, &str)] = &[
        ("hub.budget_bytes", "1000000000"),
        ("hub.max_age_seconds", "7"),
        ("hub.quiet_seconds", "7"),
        ("hub.linger_ms", "7"),
        ("hub.max_series", "7"),
        ("dimse.listen", ""),
        ("dimse.ae_title", "OTHER"),
        ("dimse.accept_any_called_ae_title", "true"),
        ("dimse.calling_ae_titles", "OTHER"),
        ("dimse.allow", "10.0.0.0/8"),
        ("dimse.private_sop_classes", "1.2.3"),
        ("dimse.tls.listen", "127.0.0.1:2763"),
        ("dimse.tls.certificate", "/other"),
        ("dimse.tls.key", "/other"),
        ("dimse.tls.client_ca", "/other"),
        ("dimse.tls.client_crl", "/other"),
        ("dimse.limits.associations", "64"),
        ("dimse.limits.associations_per_peer", "7"),
        ("dimse.limits.pdu_bytes", "16384"),
        ("dimse.limits.head_bytes", "7000"),
        ("dimse.limits.frame_bytes", "7000"),
        ("dimse.limits.frames", "7"),
        ("dimse.limits.elements", "700"),
        ("dimse.limits.nesting", "7"),
        ("dimse.limits.handshake_seconds", "7"),
        ("dimse.limits.idle_seconds", "7"),
        ("dimse.limits.stall_seconds", "7"),
        ("dicomweb.listen", "127.0.0.1:8444"),
        ("dicomweb.allow", "10.0.0.0/8"),
        ("dicomweb.cors_origins", "*"),
        ("dicomweb.tls.certificate", "/other"),
        ("dicomweb.tls.key", "/other"),
        ("dicomweb.tls.client_ca", "/other"),
        ("dicomweb.tls.client_certificate_optional", "true"),
        ("dicomweb.tls.client_crl", "/other"),
        ("dicomweb.limits.connections", "512"),
        ("dicomweb.limits.connections_per_peer", "7"),
        ("dicomweb.limits.streams", "7"),
        ("dicomweb.limits.requests_per_second", "7"),
        ("dicomweb.limits.request_burst", "7"),
        ("dicomweb.limits.header_bytes", "9000"),
        ("dicomweb.limits.header_timeout_seconds", "7"),
        ("dicomweb.limits.idle_seconds", "7"),
        ("dicomweb.limits.send_timeout_ms", "700"),
        ("dicomweb.limits.search_results", "7"),
        ("console.listen", "127.0.0.1:8445"),
        ("console.allow", "10.0.0.0/8"),
        ("console.tls.certificate", "/other"),
        ("console.tls.key", "/other"),
        ("console.tls.client_ca", "/other"),
        ("console.tls.client_crl", "/other"),
        ("console.code_may", "phi"),
        ("console.session_minutes", "7"),
        ("access.anonymous", "search"),
        ("access.anonymous_destinations", "*"),
        ("access.anonymous_filter", "Modality=XA"),
        ("access.jwt.jwks", "/other"),
        ("access.jwt.issuer", "other"),
        ("access.jwt.audience", "other"),
        ("access.jwt.leeway_seconds", "7"),
        ("principal.a.certificates", "['CN=a']"),
        ("principal.a.subjects", "['a']"),
        ("principal.a.may", "['search']"),
        ("principal.a.destinations", "['a']"),
        ("principal.a.filter", "'Modality=XA'"),
        ("send.requests", "7"),
        ("send.idle_seconds", "7"),
        ("send.limits.head_bytes", "7000"),
        ("send.limits.frame_bytes", "7000"),
        ("send.limits.frames", "7"),
        ("send.limits.elements", "700"),
        ("send.limits.nesting", "7"),
        ("send.limits.stall_seconds", "7"),
        ("send.limits.listed", "7"),
        ("subscriptions.total", "700"),
        ("subscriptions.per_subscriber", "7"),
        ("subscriptions.lease_seconds", "7"),
        ("subscriptions.events", "7"),
        ("subscriptions.channels", "7"),
        ("subscriptions.ping_seconds", "7"),
        ("destination.a.url", "'https://other.example'"),
        ("destination.a.mode", "'store'"),
        ("destination.a.ca", "'/other'"),
        ("destination.a.certificate", "'/other'"),
        ("destination.a.key", "'/other'"),
        ("destination.a.token", "'/other'"),
        ("destination.a.allow_plain", "true"),
        ("destination.a.http", "'2'"),
        ("destination.a.connections", "7"),
        ("destination.a.batch", "7"),
        ("destination.a.rotate_seconds", "7"),
        ("destination.a.rotate_bytes", "7000000"),
        ("destination.a.connect_seconds", "7"),
        ("destination.a.send_timeout_ms", "700"),
        ("destination.a.response_seconds", "7"),
        ("destination.a.retry_ms", "70"),
        ("destination.a.retry_max_seconds", "7"),
        ("subscription.a.search", "'/instances'"),
        ("subscription.a.filter", "'Modality=XA'"),
        ("subscription.a.subscriber", "'OTHER'"),
        ("subscription.a.principal", "'a'"),
        ("subscription.a.destination", "'a'"),
        ("subscription.a.rate", "7.5"),
        ("subscription.a.from", "'latest'"),
        ("subscription.a.transfer_syntax", "'1.2.840.10008.1.2.1'"),
        ("subscription.a.representation", "'rendered'"),
        ("relay.a.called_ae_title", "'OTHER'"),
        ("relay.a.calling_ae_titles", "['OTHER']"),
        ("relay.a.address", "'other:104'"),
        ("relay.a.upstream_called_ae_title", "'OTHER'"),
        ("relay.a.upstream_calling_ae_title", "'OTHER'"),
        ("relay.a.listen", "'127.0.0.1:2764'"),
        ("relay.a.ca", "'/other'"),
        ("relay.a.certificate", "'/other'"),
        ("relay.a.key", "'/other'"),
        ("relay.a.stream", "false"),
        ("relay.a.when_unreachable", "'stream'"),
        ("relay.a.connect_seconds", "7"),
        ("relay.a.idle_seconds", "7"),
        ("spool.directory", "/other"),
        ("spool.key_file", "/other"),
        ("spool.max_bytes", "7000000"),
        ("spool.free_bytes", "7"),
        ("spool.max_age_hours", "7"),
        ("availability.a.address", "'other:104'"),
        ("availability.a.ae_title", "'OTHER'"),
        ("availability.a.calling_ae_title", "'OTHER'"),
        ("availability.a.retrieve_url", "'https://other.example'"),
        ("availability.a.ca", "'/other'"),
        ("availability.a.certificate", "'/other'"),
        ("availability.a.key", "'/other'"),
        ("worklist.a.address", "'other:104'"),
        ("worklist.a.ae_title", "'OTHER'"),
        ("worklist.a.calling_ae_title", "'OTHER'"),
        ("worklist.web.url", "'https://other.example'"),
        ("worklist.a.ca", "'/other'"),
        ("worklist.a.certificate", "'/other'"),
        ("worklist.a.key", "'/other'"),
        ("worklist.web.token", "'/other'"),
        ("worklist.a.station_ae_titles", "['OTHER']"),
        ("worklist.a.modality", "'XA'"),
        ("worklist.a.days_before", "7"),
        ("worklist.a.days_after", "7"),
        ("worklist.a.refresh_seconds", "7"),
        ("worklist.a.entries", "7"),
        ("mpps.a.address", "'other:104'"),
        ("mpps.a.ae_title", "'OTHER'"),
        ("mpps.a.calling_ae_title", "'OTHER'"),
        ("mpps.a.ca", "'/other'"),
        ("mpps.a.certificate", "'/other'"),
        ("mpps.a.key", "'/other'"),
        ("audit.receiver", "other:6514"),
        ("audit.ca", "/other"),
        ("audit.certificate", "/other"),
        ("audit.key", "/other"),
        ("audit.queue", "7"),
        ("capture.a.device", "'/dev/video7'"),
        ("capture.a.profile", "'other'"),
        ("capture.a.input", "'other'"),
        ("capture.a.sop_class", "'ultrasound'"),
        ("capture.a.modality", "'US'"),
        ("capture.a.pixels", "'grey'"),
        ("capture.a.compression", "'rle'"),
        ("capture.a.jpeg_quality", "7"),
        ("capture.a.matrix", "'bt601'"),
        ("capture.a.range", "'full'"),
        ("capture.a.deinterlace", "'bob'"),
        ("capture.a.crop", "'0,0,7,7'"),
        ("capture.a.masks", "['0,0,7,7']"),
        ("capture.a.masks_cover_identity", "true"),
        ("capture.a.picture_size", "'640x480'"),
        ("capture.a.rate", "7"),
        ("capture.a.changes_only", "true"),
        ("capture.a.keep_alive_ms", "700"),
        ("capture.a.series", "'operator'"),
        ("capture.a.activity_quiet_seconds", "7"),
        ("capture.a.activity_threshold", "0.7"),
        ("capture.a.patient_name", "'Other^'"),
        ("capture.a.study_description", "'other'"),
        ("capture.a.series_description", "'other'"),
        ("capture.a.body_part", "'OTHER'"),
        ("capture.a.manufacturer", "'other'"),
        ("capture.a.model_name", "'other'"),
        ("capture.a.serial_number", "'other'"),
        ("capture.a.station_name", "'other'"),
        ("capture.a.pixel_spacing", "'0.7,0.7'"),
        ("capture.a.precedence", "['mpps']"),
        ("capture.a.modality_ae_titles", "['OTHER']"),
        ("capture.a.stale_minutes", "7"),
        ("capture.a.emergency_name", "'Other^'"),
        ("capture.a.mpps", "'a'"),
        ("pattern.enabled", "true"),
        ("pattern.rows", "100"),
        ("pattern.columns", "100"),
        ("pattern.bits", "12"),
        ("pattern.color", "true"),
        ("pattern.fps", "7"),
        ("service.drain_seconds", "7"),
        ("service.self_test_seconds", "7"),
        ("service.log", "debug"),
        ("service.log_format", "json"),
        ("service.landlock", "false"),
        ("metrics.listen", "127.0.0.1:9100"),
        ("metrics.allow", "127.0.0.1/32"),
        ("metrics.token", "/other"),
        ("metrics.certificate", "/other"),
        ("metrics.key", "/other"),
    ];

    const FILES: &[(&str, &str)] = &[
        ("dimse.tls.certificate", "/c"),
        ("dimse.tls.key", "/k"),
        ("dimse.tls.client_ca", "/a"),
        ("dicomweb.tls.certificate", "/c"),
        ("dicomweb.tls.key", "/k"),
        ("dicomweb.tls.client_ca", "/a"),
        ("metrics.certificate", "/c"),
        ("metrics.key", "/k"),
        ("console.tls.certificate", "/c"),
        ("console.tls.key", "/k"),
        ("console.tls.client_ca", "/a"),
        ("access.jwt.jwks", "/j"),
        ("access.jwt.issuer", "i"),
        ("access.jwt.audience", "a"),
        ("principal.a.subjects", "[]"),
        ("destination.a.url", "'https://a.example'"),
        ("destination.a.certificate", "'/c'"),
        ("destination.a.key", "'/k'"),
        ("subscription.a.search", "'/series'"),
        ("subscription.a.subscriber", "'A'"),
        ("availability.a.address", "'a:104'"),
        ("availability.a.ae_title", "'A'"),
        ("availability.a.ca", "'/a'"),
        ("availability.a.certificate", "'/c'"),
        ("availability.a.key", "'/k'"),
        ("relay.a.called_ae_title", "'A'"),
        ("relay.a.address", "'a:104'"),
        ("relay.a.ca", "'/a'"),
        ("relay.a.certificate", "'/c'"),
        ("relay.a.key", "'/k'"),
        ("worklist.a.address", "'a:104'"),
        ("worklist.a.ae_title", "'A'"),
        ("worklist.a.ca", "'/a'"),
        ("worklist.a.certificate", "'/c'"),
        ("worklist.a.key", "'/k'"),
        ("worklist.web.url", "'https://a.example'"),
        ("mpps.a.address", "'a:104'"),
        ("mpps.a.ae_title", "'A'"),
        ("mpps.a.ca", "'/a'"),
        ("mpps.a.certificate", "'/c'"),
        ("mpps.a.key", "'/k'"),
        ("audit.receiver", "a:6514"),
        ("audit.ca", "/a"),
        ("audit.certificate", "/c"),
        ("audit.key", "/k"),
        ("capture.a.crop", "'0,0,8,8'"),
        ("capture.a.picture_size", "'8x8'"),
    ];

    /// Both TLS listeners with files and a section of each kind, then what else is given; the last value
    /// of a key counts.
    fn loaded(values: &[(&str, &str)]) -> Loaded {
        let mut by_key = BTreeMap::from([("dimse.tls.listen", "127.0.0.1:2762")]);
        by_key.extend(FILES.iter().chain(values).copied());
        let (mut env, mut text) = (Vec::new(), String::new());
        for (key, value) in by_key {
            match keys::find(key).unwrap().variable() {
                Some(variable) => env.push((variable, value.to_owned())),
                None => text.push_str(&format!("{key} = {value}\n")),
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("framegate.toml");
        std::fs::write(&file, text).unwrap();
        load(Some(&file), env.into_iter()).unwrap()
    }

    /// The table and the merged settings tell the same: one changed key at a time, the result is
    /// the new settings if the key reloads and the old ones if it does not.
    #[test]
    fn every_key_reloads_or_waits_as_the_table_says() {
        let old = loaded(&[]);
        for (path, value) in OTHER {
            let new = loaded(&[(path, value)]);
            assert_ne!(old.settings, new.settings, "{path}");
            let merged = merge_reloadable(&old.settings, &new.settings);
            let found = changes(&old, &new);
            let key = vec![(*path).to_owned()];
            if keys::find(path).unwrap().reloads {
                assert_eq!(merged, new.settings, "{path}");
                assert_eq!(found, Changes { applied: key, needs_restart: vec![] });
            } else {
                assert_eq!(merged, old.settings, "{path}");
                assert_eq!(found, Changes { applied: vec![], needs_restart: key });
            }
        }
    }

    /// The list above names every key once; `self_signed` excludes the files.
    #[test]
    fn no_key_is_left_out() {
        let mut tried: Vec<_> = OTHER
            .iter()
            // A worklist is reached by DIMSE or over the web: two sections have its keys between them.
            .map(|(path, _)| path.replace("worklist.web.", "worklist.a."))
            .chain(["dicomweb.tls.self_signed".into()])
            .collect();
        let mut known: Vec<_> = keys::KEYS.iter().map(|key| key.at("a")).collect();
        tried.sort_unstable();
        known.sort_unstable();
        assert_eq!(tried, known);
    }

    #[test]
    fn a_section_that_comes_or_goes_is_named_once() {
        let old = loaded(&[]);
        let more = [("destination.b.url", "'https://b.example'"), ("destination.b.batch", "2")];
        let new = loaded(&[&more[..], &[("destination.a.batch", "2")]].concat());
        let applied = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(changes(&old, &new).applied, applied(&["destination.a.batch", "destination.b"]));
        assert_eq!(changes(&new, &old).applied, applied(&["destination.a.batch", "destination.b"]));
        assert_eq!(merge_reloadable(&old.settings, &new.settings), new.settings);
        assert_eq!(merge_reloadable(&new.settings, &old.settings), old.settings);
    }

    #[test]
    fn a_capture_that_comes_or_goes_waits_for_a_restart() {
        let old = loaded(&[("capture.a.device", "'/dev/video0'")]);
        let b = [("capture.a.device", "'/dev/video0'"), ("capture.b.device", "'/dev/video1'")];
        let new = loaded(&b);
        for (from, to) in [(&old, &new), (&new, &old)] {
            let found = changes(from, to);
            assert_eq!(found, Changes { applied: vec![], needs_restart: vec!["capture.b".to_owned()] });
            assert_eq!(merge_reloadable(&from.settings, &to.settings), from.settings);
        }
    }

    #[test]
    fn an_equal_value_from_elsewhere_is_no_change() {
        let (old, new) = (loaded(&[]), loaded(&[("hub.max_series", "256")]));
        assert_ne!(old, new);
        assert_eq!(changes(&old, &new), Changes::default());
    }
}
