//! What a reload may change. The table of keys says of every key whether a new value holds without
//! a restart; this module compares two configurations by it, and makes the settings that hold
//! after the reload: the new ones, with what needs a restart kept from the old.

use super::keys;
use super::load::Loaded;
use super::settings::{DicomwebSettings, DimseSettings, HubSettings, ServiceSettings, Settings};

/// The keys that differ between two configurations, in the order of the sections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Dotted keys whose new value holds from the reload on.
    pub applied: Vec<String>,
    /// Dotted keys whose new value waits for a restart.
    pub needs_restart: Vec<String>,
}

/// Compares by value; where a value comes from does not matter.
pub fn changes(old: &Loaded, new: &Loaded) -> Changes {
    let mut changes = Changes::default();
    for key in keys::KEYS {
        let value =
            |loaded: &Loaded| loaded.values.iter().find(|v| v.key == key.path).map(|v| v.value.clone());
        if value(old) == value(new) {
            continue;
        }
        let list = if key.reloads { &mut changes.applied } else { &mut changes.needs_restart };
        list.push(key.path.to_owned());
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
        access: new.access.clone(),
        send: new.send.clone(),
        subscriptions: new.subscriptions.clone(),
        destinations: new.destinations.clone(),
        standing: new.standing.clone(),
        availability: new.availability.clone(),
        pattern: old.pattern.clone(),
        service: ServiceSettings { log: new.service.log.clone(), ..old.service.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    /// For every key: its variable, and a value that the base below does not have.
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
        ("pattern.enabled", "true"),
        ("pattern.rows", "100"),
        ("pattern.columns", "100"),
        ("pattern.bits", "12"),
        ("pattern.color", "true"),
        ("pattern.fps", "7"),
        ("service.drain_seconds", "7"),
        ("service.log", "debug"),
        ("service.log_format", "json"),
        ("service.metrics_listen", "127.0.0.1:9100"),
    ];

    const FILES: &[(&str, &str)] = &[
        ("dimse.tls.certificate", "/c"),
        ("dimse.tls.key", "/k"),
        ("dimse.tls.client_ca", "/a"),
        ("dicomweb.tls.certificate", "/c"),
        ("dicomweb.tls.key", "/k"),
    ];

    /// Both TLS listeners with files, then what else is given; the last value of a key counts.
    fn loaded(values: &[(&str, &str)]) -> Loaded {
        let mut by_key = std::collections::BTreeMap::from([("dimse.tls.listen", "127.0.0.1:2762")]);
        by_key.extend(FILES.iter().chain(values).copied());
        let env = by_key
            .iter()
            .map(|(key, value)| (keys::find(key).unwrap().variable(), (*value).to_owned()))
            .collect::<Vec<_>>();
        load(None, env.into_iter()).unwrap()
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
        let mut tried: Vec<_> =
            OTHER.iter().map(|(path, _)| *path).chain(["dicomweb.tls.self_signed"]).collect();
        let mut known: Vec<_> = keys::KEYS.iter().map(|key| key.path).collect();
        tried.sort_unstable();
        known.sort_unstable();
        assert_eq!(tried, known);
    }

    #[test]
    fn an_equal_value_from_elsewhere_is_no_change() {
        let (old, new) = (loaded(&[]), loaded(&[("hub.max_series", "256")]));
        assert_ne!(old, new);
        assert_eq!(changes(&old, &new), Changes::default());
    }
}
