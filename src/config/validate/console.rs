//! The console: what its `tls` section leaves out is that of DICOMweb, and a client certificate is never
//! asked of anybody, since a one-time code lets in too.

use super::super::fragment::Console;
use super::super::settings::{ConsoleSettings, HttpTls, TlsIdentity};
use super::super::text;
use super::{PAIR, Validation, bounds};

impl Validation<'_> {
    pub(super) fn console(&mut self, console: &Console, dicomweb: &HttpTls) -> ConsoleSettings {
        let default = ConsoleSettings::default();
        let code_may = console.code_may.as_deref().map(|words| {
            words.iter().filter_map(|word| self.typed("console.code_may", text::code_right(word))).collect()
        });
        ConsoleSettings {
            listen: self.listener("console.listen", console.listen.as_deref(), default.listen),
            allow: self.networks("console.allow", console.allow.as_deref(), default.allow),
            tls: self.console_tls(console, dicomweb),
            code_may: code_may.unwrap_or(default.code_may),
            session: bounds::minutes(console.session_minutes, None).unwrap_or(default.session),
        }
    }

    fn console_tls(&mut self, console: &Console, dicomweb: &HttpTls) -> HttpTls {
        let (tls, before) = (&console.tls, self.problems.len());
        let theirs = match dicomweb {
            HttpTls::Files(identity) => Some(identity.clone()),
            HttpTls::SelfSigned => None,
        };
        let own = self.pair("console.tls", tls.certificate.as_deref(), tls.key.as_deref());
        let client_ca = tls.client_ca.as_deref().and_then(text::path);
        let client_crl = tls.client_crl.as_deref().and_then(text::path);
        if client_crl.is_some() && client_ca.is_none() {
            let what = "is about client certificates of roots of its own, and names none";
            self.report(&["console.tls.client_crl"], what, "console.tls.client_ca with it");
        }
        let names_roots = client_ca.is_some();
        // Lists of revocations are of the authority that they are about.
        let (client_ca, client_crl) = match (client_ca, &theirs) {
            (None, Some(theirs)) => (theirs.client_ca.clone(), theirs.client_crl.clone()),
            (own, _) => (own, client_crl),
        };
        match own.or_else(|| theirs.map(|theirs| (theirs.certificate, theirs.key))) {
            Some((certificate, key)) => HttpTls::Files(TlsIdentity {
                client_certificate_optional: client_ca.is_some(),
                client_crl,
                ..TlsIdentity::new(certificate, key, client_ca)
            }),
            None => {
                if names_roots && self.problems.len() == before {
                    let what = "stands without a certificate and key of our own";
                    self.report(&["console.tls.client_ca"], what, PAIR);
                }
                HttpTls::SelfSigned
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{from, refused};
    use super::*;

    fn tls(more: &[(&str, &str)]) -> HttpTls {
        let files = [("DICOMWEB__TLS__CERTIFICATE", "/c"), ("DICOMWEB__TLS__KEY", "/k")];
        from(&[&files, more].concat()).unwrap().console.tls
    }

    fn identity(certificate: &str, client_ca: Option<&str>, client_crl: Option<&str>) -> HttpTls {
        HttpTls::Files(TlsIdentity {
            certificate: certificate.into(),
            key: "/k".into(),
            client_ca: client_ca.map(Into::into),
            client_certificate_optional: client_ca.is_some(),
            client_crl: client_crl.map(Into::into),
        })
    }

    #[test]
    fn what_its_tls_leaves_out_is_that_of_dicomweb_and_certificates_are_optional() {
        let roots = [("DICOMWEB__TLS__CLIENT_CA", "/a"), ("DICOMWEB__TLS__CLIENT_CRL", "/r")];
        let own = [("CONSOLE__TLS__CERTIFICATE", "/own"), ("CONSOLE__TLS__KEY", "/k")];
        let own_roots = [("CONSOLE__TLS__CLIENT_CA", "/b")];
        assert_eq!(tls(&[]), identity("/c", None, None));
        assert_eq!(tls(&roots), identity("/c", Some("/a"), Some("/r")));
        assert_eq!(tls(&[&roots[..], &own].concat()), identity("/own", Some("/a"), Some("/r")));
        assert_eq!(tls(&[&roots[..], &own_roots].concat()), identity("/c", Some("/b"), None));
        assert_eq!(tls(&[&roots[..], &own, &own_roots].concat()), identity("/own", Some("/b"), None));
    }

    #[test]
    fn half_of_a_section_is_refused() {
        for (half, what) in [
            (("CONSOLE__TLS__CERTIFICATE", "/own"), "console.tls.key is not set"),
            (("CONSOLE__TLS__CLIENT_CA", "/a"), "console.tls.client_ca: stands without"),
            (("CONSOLE__CODE_MAY", "console"), "console.code_may"),
        ] {
            refused(&[half], what);
        }
    }
}
