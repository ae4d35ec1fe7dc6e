//! The first layer: every key with its default, as a file would spell it. Defaults stand in
//! `settings`; what a named section leaves out gets its default when a later layer has the section.

mod peers;

use std::collections::BTreeMap;

use super::fragment::{
    Access, Audit, Availability, Capture, Console, ConsoleTls, Destination, Dicomweb, DicomwebTls, Dimse,
    DimseBounds, DimseTls, Fragment, HttpBounds, Hub, Jwt, Metrics, Mpps, Pattern, Principal, Relay, Send,
    SendBounds, Service, Spool, Standing, Subscriptions, Withheld, Worklist,
};
use super::settings::{
    CaptureSettings, ConsoleSettings, DestinationSettings, DicomwebSettings, DimseLimits, DimseSettings,
    HttpLimits, HubSettings, JwtSettings, MetricsSettings, PatternSettings, RelaySettings, SendSettings,
    ServiceSettings, Settings, SubscriptionSettings,
};

impl Fragment {
    /// Every key with its default, also in the named sections that `others` have. A self-signed
    /// certificate is a default only where no file is given, so that a file which forgets its
    /// certificate is refused.
    pub(super) fn built_in(self_signed: bool, others: &[&Self]) -> Self {
        let settings = Settings::default();
        Self {
            hub: Hub::from(&settings.hub),
            dimse: Dimse::from(&settings.dimse),
            dicomweb: Dicomweb {
                tls: DicomwebTls {
                    certificate: Some(String::new()),
                    key: Some(String::new()),
                    client_ca: Some(String::new()),
                    client_certificate_optional: Some(false),
                    client_crl: Some(String::new()),
                    self_signed: Some(self_signed),
                },
                ..Dicomweb::from(&settings.dicomweb)
            },
            console: Console::from(&settings.console),
            access: Access::built_in(),
            principal: named(others, |other| &other.principal, &Principal::built_in()),
            send: Send::from(&settings.send),
            subscriptions: Subscriptions::from(&settings.subscriptions),
            destination: named(
                others,
                |other| &other.destination,
                &Destination::from(&DestinationSettings::default()),
            ),
            subscription: named(others, |other| &other.subscription, &Standing::built_in()),
            availability: named(others, |other| &other.availability, &Availability::built_in()),
            relay: named(others, |other| &other.relay, &Relay::from(&RelaySettings::default())),
            spool: Spool::from(&settings.spool),
            worklist: named(others, |other| &other.worklist, &Worklist::built_in()),
            mpps: named(others, |other| &other.mpps, &Mpps::built_in()),
            audit: Audit::from(&settings.audit),
            capture: named(others, |other| &other.capture, &Capture::from(&CaptureSettings::default())),
            pattern: Pattern::from(&settings.pattern),
            service: Service::from(&settings.service),
            metrics: Metrics::from(&settings.metrics),
        }
    }
}

/// The default for each name that stands in one of the other layers.
fn named<T: Clone>(
    others: &[&Fragment],
    sections: impl Fn(&Fragment) -> &BTreeMap<String, T>,
    default: &T,
) -> BTreeMap<String, T> {
    let names = others.iter().flat_map(|other| sections(other).keys());
    names.map(|name| (name.clone(), default.clone())).collect()
}

impl From<&ConsoleSettings> for Console {
    /// The `tls` section comes out unset.
    fn from(console: &ConsoleSettings) -> Self {
        let unset = || Some(String::new());
        Self {
            listen: Some(console.listen.map(|address| address.to_string()).unwrap_or_default()),
            allow: Some(strings(&console.allow)),
            tls: ConsoleTls { certificate: unset(), key: unset(), client_ca: unset(), client_crl: unset() },
            code_may: Some(console.code_may.iter().map(|right| right.word().to_owned()).collect()),
            session_minutes: Some(console.session.as_secs() / 60),
        }
    }
}

impl Access {
    /// No right for anybody, no tokens.
    fn built_in() -> Self {
        Self {
            anonymous: Some(Vec::new()),
            anonymous_destinations: Some(Vec::new()),
            anonymous_filter: Some(Withheld::default()),
            jwt: Jwt {
                jwks: Some(String::new()),
                issuer: Some(String::new()),
                audience: Some(String::new()),
                leeway_seconds: Some(JwtSettings::LEEWAY.as_secs()),
            },
        }
    }
}

impl Principal {
    /// Nobody, who may do nothing.
    fn built_in() -> Self {
        Self {
            certificates: Some(Vec::new()),
            subjects: Some(Vec::new()),
            may: Some(Vec::new()),
            destinations: Some(Vec::new()),
            filter: Some(Withheld::default()),
        }
    }
}

impl From<&SendSettings> for Send {
    fn from(send: &SendSettings) -> Self {
        Self {
            requests: Some(send.requests),
            idle_seconds: Some(send.idle.as_secs()),
            limits: SendBounds {
                head_bytes: Some(send.head_bytes),
                frame_bytes: Some(send.frame_bytes),
                frames: Some(send.frames),
                elements: Some(send.elements),
                nesting: Some(send.nesting),
                stall_seconds: Some(send.stall.as_secs()),
                listed: Some(send.listed),
            },
        }
    }
}

impl From<&SubscriptionSettings> for Subscriptions {
    fn from(bounds: &SubscriptionSettings) -> Self {
        Self {
            total: Some(bounds.total),
            per_subscriber: Some(bounds.per_subscriber),
            lease_seconds: Some(bounds.lease.as_secs()),
            events: Some(bounds.events),
            channels: Some(bounds.channels),
            ping_seconds: Some(bounds.ping.as_secs()),
        }
    }
}

impl From<&DestinationSettings> for Destination {
    /// Certificate, key and token come out unset.
    fn from(destination: &DestinationSettings) -> Self {
        Self {
            url: Some(destination.url.clone()),
            mode: Some(destination.mode),
            ca: Some(destination.ca.to_string_lossy().into_owned()),
            certificate: Some(String::new()),
            key: Some(String::new()),
            token: Some(String::new()),
            allow_plain: Some(destination.allow_plain),
            http: Some(destination.http),
            connections: Some(destination.connections),
            batch: Some(destination.batch),
            rotate_seconds: Some(destination.rotate.as_secs()),
            rotate_bytes: Some(destination.rotate_bytes),
            connect_seconds: Some(destination.connect.as_secs()),
            send_timeout_ms: Some(milliseconds(destination.send_timeout)),
            response_seconds: Some(destination.response.as_secs()),
            retry_ms: Some(milliseconds(destination.retry)),
            retry_max_seconds: Some(destination.retry_max.as_secs()),
        }
    }
}

impl Standing {
    /// Everything as it is made, for the anonymous principal; search and subscriber must be set.
    fn built_in() -> Self {
        Self {
            search: Some(String::new()),
            filter: Some(Withheld::default()),
            subscriber: Some(String::new()),
            principal: Some(String::new()),
            destination: Some(String::new()),
            rate: Some(0.0),
            from: Some("oldest".to_owned()),
            transfer_syntax: Some(String::new()),
            representation: Some("instance".to_owned()),
        }
    }
}

impl From<&HubSettings> for Hub {
    fn from(hub: &HubSettings) -> Self {
        Self {
            budget_bytes: Some(hub.budget_bytes),
            max_age_seconds: Some(hub.max_age.as_secs()),
            quiet_seconds: Some(hub.quiet.as_secs()),
            linger_ms: Some(milliseconds(hub.linger)),
            max_series: Some(hub.max_series),
        }
    }
}

impl From<&DimseSettings> for Dimse {
    /// The `tls` section comes out closed, as it is by default.
    fn from(dimse: &DimseSettings) -> Self {
        Self {
            listen: Some(dimse.listen.map(|address| address.to_string()).unwrap_or_default()),
            ae_title: Some(dimse.ae_title.clone()),
            accept_any_called_ae_title: Some(dimse.accept_any_called_ae_title),
            calling_ae_titles: Some(dimse.calling_ae_titles.clone()),
            allow: Some(strings(&dimse.allow)),
            private_sop_classes: Some(dimse.private_sop_classes.clone()),
            tls: DimseTls {
                listen: Some(String::new()),
                certificate: Some(String::new()),
                key: Some(String::new()),
                client_ca: Some(String::new()),
                client_crl: Some(String::new()),
            },
            limits: DimseBounds::from(&dimse.limits),
        }
    }
}

impl From<&DimseLimits> for DimseBounds {
    fn from(limits: &DimseLimits) -> Self {
        Self {
            associations: Some(limits.associations),
            associations_per_peer: Some(limits.associations_per_peer),
            pdu_bytes: Some(limits.pdu_bytes),
            head_bytes: Some(limits.head_bytes),
            frame_bytes: Some(limits.frame_bytes),
            frames: Some(limits.frames),
            elements: Some(limits.elements),
            nesting: Some(limits.nesting),
            handshake_seconds: Some(limits.handshake.as_secs()),
            idle_seconds: Some(limits.idle.as_secs()),
            stall_seconds: Some(limits.stall.as_secs()),
        }
    }
}

impl From<&DicomwebSettings> for Dicomweb {
    /// The `tls` section comes out unset.
    fn from(dicomweb: &DicomwebSettings) -> Self {
        Self {
            listen: Some(dicomweb.listen.to_string()),
            allow: Some(strings(&dicomweb.allow)),
            cors_origins: Some(dicomweb.cors_origins.clone()),
            tls: DicomwebTls::default(),
            limits: HttpBounds::from(&dicomweb.limits),
        }
    }
}

impl From<&HttpLimits> for HttpBounds {
    fn from(limits: &HttpLimits) -> Self {
        Self {
            connections: Some(limits.connections),
            connections_per_peer: Some(limits.connections_per_peer),
            streams: Some(limits.streams),
            requests_per_second: Some(limits.requests_per_second),
            request_burst: Some(limits.request_burst),
            header_bytes: Some(limits.header_bytes),
            header_timeout_seconds: Some(limits.header_timeout.as_secs()),
            idle_seconds: Some(limits.idle.as_secs()),
            send_timeout_ms: Some(milliseconds(limits.send_timeout)),
            search_results: Some(limits.search_results),
        }
    }
}

impl From<&CaptureSettings> for Capture {
    /// Crop, masks and spacing come out as there are none.
    fn from(capture: &CaptureSettings) -> Self {
        Self {
            device: Some(capture.device.clone()),
            profile: Some(capture.profile.clone()),
            input: Some(capture.input.clone()),
            sop_class: Some(capture.sop_class),
            modality: Some(capture.modality.clone()),
            pixels: Some(capture.pixels),
            compression: Some(capture.compression),
            jpeg_quality: Some(capture.jpeg_quality),
            matrix: Some(capture.matrix),
            range: Some(capture.range),
            deinterlace: Some(capture.deinterlace),
            crop: Some(String::new()),
            masks: Some(Vec::new()),
            masks_cover_identity: Some(capture.masks_cover_identity),
            picture_size: Some(String::new()),
            rate: Some(capture.rate.unwrap_or_default()),
            changes_only: Some(capture.changes_only),
            keep_alive_ms: Some(milliseconds(capture.keep_alive)),
            series: Some(capture.series),
            activity_quiet_seconds: Some(capture.activity_quiet.as_secs()),
            activity_threshold: Some(capture.activity_threshold),
            patient_name: Some(Withheld(capture.patient_name.clone())),
            study_description: Some(capture.study_description.clone()),
            series_description: Some(capture.series_description.clone()),
            body_part: Some(capture.body_part.clone()),
            manufacturer: Some(capture.manufacturer.clone()),
            model_name: Some(capture.model_name.clone()),
            serial_number: Some(capture.serial_number.clone()),
            station_name: Some(capture.station_name.clone()),
            pixel_spacing: Some(String::new()),
            precedence: Some(capture.precedence.iter().map(|who| who.word().to_owned()).collect()),
            modality_ae_titles: Some(capture.modality_ae_titles.clone()),
            stale_minutes: Some(capture.stale.unwrap_or_default().as_secs() / 60),
            emergency_name: Some(Withheld(capture.emergency_name.clone())),
            mpps: Some(capture.mpps.clone()),
        }
    }
}

impl From<&PatternSettings> for Pattern {
    fn from(pattern: &PatternSettings) -> Self {
        Self {
            enabled: Some(pattern.enabled),
            rows: Some(pattern.rows),
            columns: Some(pattern.columns),
            bits: Some(pattern.bits),
            color: Some(pattern.color),
            fps: Some(pattern.fps),
        }
    }
}

impl From<&ServiceSettings> for Service {
    fn from(service: &ServiceSettings) -> Self {
        Self {
            drain_seconds: Some(service.drain.as_secs()),
            self_test_seconds: Some(service.self_test.as_secs()),
            log: Some(service.log.clone()),
            log_format: Some(service.log_format),
            landlock: Some(service.landlock),
        }
    }
}

impl From<&MetricsSettings> for Metrics {
    fn from(metrics: &MetricsSettings) -> Self {
        Self {
            listen: Some(metrics.listen.map(|address| address.to_string()).unwrap_or_default()),
            allow: Some(strings(&metrics.allow)),
            token: Some(String::new()),
            certificate: Some(String::new()),
            key: Some(String::new()),
        }
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn strings<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
