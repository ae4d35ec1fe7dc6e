//! What listens: addresses, the networks that are let in, and the certificates that are shown there
//! and asked for.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::super::fragment::{Dicomweb, Dimse, Service};
use super::super::settings::{
    DicomwebSettings, DimseSettings, DimseTlsSettings, HttpTls, ServiceSettings, TlsIdentity,
};
use super::super::text;
use super::{PAIR, Validation, bounds};

/// What a `tls` section names.
struct Files<'f> {
    certificate: Option<&'f str>,
    key: Option<&'f str>,
    client_ca: Option<&'f str>,
    client_crl: Option<&'f str>,
    /// Whether a client certificate is.
    optional: bool,
}

impl Files<'_> {
    fn any(&self) -> bool {
        let files = [self.certificate, self.key, self.client_ca, self.client_crl];
        self.optional || files.iter().flatten().any(|path| !path.is_empty())
    }
}

impl Validation<'_> {
    pub(super) fn listener(
        &mut self,
        key: &str,
        text: Option<&str>,
        default: Option<SocketAddr>,
    ) -> Option<SocketAddr> {
        match text {
            Some(text) => self.typed(key, text::listener(text)).flatten(),
            None => default,
        }
    }

    /// Networks that are let in. An empty list would shut everybody out of an open listener, and
    /// is easily written for its opposite.
    pub(super) fn networks(
        &mut self,
        key: &str,
        texts: Option<&[String]>,
        default: Vec<IpNet>,
    ) -> Vec<IpNet> {
        let Some(texts) = texts else { return default };
        if texts.is_empty() {
            self.report(
                &[key],
                "lets nobody in",
                "at least one network; [\"0.0.0.0/0\", \"::/0\"] lets everybody in",
            );
        }
        texts.iter().filter_map(|text| self.typed(key, text::network(text))).collect()
    }

    /// The files of one `tls` section; `None` when none is named or one is missing.
    fn identity(&mut self, section: &str, files: &Files<'_>) -> Option<TlsIdentity> {
        let before = self.problems.len();
        let pair = self.pair(section, files.certificate, files.key);
        let client_ca = files.client_ca.and_then(text::path);
        let client_ca_key = format!("{section}.client_ca");
        if pair.is_none() && client_ca.is_some() && self.problems.len() == before {
            self.report(&[&client_ca_key], "stands without a certificate and key of our own", PAIR);
        }
        let client_crl = files.client_crl.and_then(text::path);
        let only_with_roots =
            [("client_crl", client_crl.is_some()), ("client_certificate_optional", files.optional)];
        for (name, _) in only_with_roots.into_iter().filter(|(_, set)| *set && client_ca.is_none()) {
            let what = "is about client certificates, which are not asked for";
            self.report(&[&format!("{section}.{name}")], what, format!("{client_ca_key} with it"));
        }
        pair.map(|(certificate, key)| TlsIdentity {
            client_certificate_optional: files.optional,
            client_crl,
            ..TlsIdentity::new(certificate, key, client_ca)
        })
    }

    pub(super) fn dimse(&mut self, dimse: &Dimse) -> DimseSettings {
        let default = DimseSettings::default();
        DimseSettings {
            listen: self.listener("dimse.listen", dimse.listen.as_deref(), default.listen),
            tls: self.dimse_tls(dimse),
            ae_title: dimse.ae_title.clone().unwrap_or(default.ae_title),
            accept_any_called_ae_title: dimse
                .accept_any_called_ae_title
                .unwrap_or(default.accept_any_called_ae_title),
            calling_ae_titles: dimse.calling_ae_titles.clone().unwrap_or(default.calling_ae_titles),
            allow: self.networks("dimse.allow", dimse.allow.as_deref(), default.allow),
            private_sop_classes: dimse.private_sop_classes.clone().unwrap_or(default.private_sop_classes),
            limits: bounds::dimse(&dimse.limits),
        }
    }

    /// The listener is for mutual TLS: it needs all three files.
    fn dimse_tls(&mut self, dimse: &Dimse) -> Option<DimseTlsSettings> {
        let tls = &dimse.tls;
        let before = self.problems.len();
        let listen = self.listener("dimse.tls.listen", tls.listen.as_deref(), None);
        let files = Files {
            certificate: tls.certificate.as_deref(),
            key: tls.key.as_deref(),
            client_ca: tls.client_ca.as_deref(),
            client_crl: tls.client_crl.as_deref(),
            optional: false,
        };
        let identity = self.identity("dimse.tls", &files);
        let listen = listen?;
        let identity = identity.filter(|identity| identity.client_ca.is_some());
        if identity.is_none() && self.problems.len() == before {
            self.report(
                &["dimse.tls.listen"],
                "is set without all files of mutual TLS",
                "dimse.tls.certificate, dimse.tls.key and dimse.tls.client_ca with it",
            );
        }
        Some(DimseTlsSettings { listen, identity: identity? })
    }

    pub(super) fn dicomweb(&mut self, dicomweb: &Dicomweb) -> DicomwebSettings {
        let default = DicomwebSettings::default();
        let listen = dicomweb.listen.as_deref();
        let listen = listen.and_then(|text| self.typed("dicomweb.listen", text::address(text)));
        DicomwebSettings {
            listen: listen.unwrap_or(default.listen),
            tls: self.dicomweb_tls(dicomweb),
            allow: self.networks("dicomweb.allow", dicomweb.allow.as_deref(), default.allow),
            cors_origins: dicomweb.cors_origins.clone().unwrap_or(default.cors_origins),
            limits: bounds::http(&dicomweb.limits),
        }
    }

    fn dicomweb_tls(&mut self, dicomweb: &Dicomweb) -> HttpTls {
        let tls = &dicomweb.tls;
        let before = self.problems.len();
        let files = Files {
            certificate: tls.certificate.as_deref(),
            key: tls.key.as_deref(),
            client_ca: tls.client_ca.as_deref(),
            client_crl: tls.client_crl.as_deref(),
            optional: tls.client_certificate_optional.unwrap_or_default(),
        };
        if tls.self_signed == Some(true) {
            if files.any() {
                self.report(
                    &["dicomweb.tls.self_signed"],
                    "stands beside certificate files",
                    "either the files, or self_signed without them",
                );
            }
            return HttpTls::SelfSigned;
        }
        match self.identity("dicomweb.tls", &files) {
            Some(identity) => HttpTls::Files(identity),
            None => {
                if self.problems.len() == before {
                    let keys = ["dicomweb.tls.certificate", "dicomweb.tls.key", "dicomweb.tls.self_signed"];
                    self.report(
                        &keys[..1],
                        "is not set",
                        format!("{PAIR}; for trials only: {} = true", keys[2]),
                    );
                }
                // Never used: the problem above keeps these settings from being handed out.
                HttpTls::SelfSigned
            }
        }
    }

    pub(super) fn service(&mut self, service: &Service) -> ServiceSettings {
        let default = ServiceSettings::default();
        ServiceSettings {
            drain: bounds::seconds(service.drain_seconds, default.drain),
            self_test: bounds::seconds(service.self_test_seconds, default.self_test),
            log: service.log.clone().unwrap_or(default.log),
            log_format: service.log_format.unwrap_or(default.log_format),
            landlock: service.landlock.unwrap_or(default.landlock),
        }
    }
}
