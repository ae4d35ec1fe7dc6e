//! Certificates and tokens, good and bad, against a table of principals.

use std::fs;
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use jsonwebtoken::Algorithm;
use rcgen::SanType;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::testing::{AUDIENCE, ISSUER, Signer, claims, seconds_from_now, settings, write};
use super::*;
use crate::config::settings::PrincipalSettings;
use crate::net::http::Kept;
use crate::net::tls::testing::Authority;

type Who = Result<Option<Arc<str>>, Unauthenticated>;

fn principal(certificates: &[&str], subjects: &[&str]) -> PrincipalSettings {
    let list = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect();
    PrincipalSettings { certificates: list(certificates), subjects: list(subjects), ..Default::default() }
}

fn table(principals: &[(&str, PrincipalSettings)]) -> AccessSettings {
    let principals = principals.iter().map(|(name, one)| ((*name).to_owned(), one.clone())).collect();
    AccessSettings { principals, ..AccessSettings::default() }
}

fn peer(certificate_pem: Option<&str>) -> PeerInfo {
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec().into();
    PeerInfo {
        address: "127.0.0.1:1".parse().unwrap(),
        client_certificate: certificate_pem.map(der),
        own: false,
        kept: Kept::default(),
    }
}

fn bearer(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap())])
}

fn principal_of(authenticator: &Authenticator, peer: &PeerInfo, headers: &HeaderMap) -> Who {
    authenticator.authenticate(peer, headers).map(|known| known.principal)
}

fn known(name: &str) -> Who {
    Ok(Some(Arc::from(name)))
}

/// A table with `VIEWER`, known by the token subject `v1`, and a file with the keys of `signers`.
struct Tokened {
    folder: TempDir,
    settings: AccessSettings,
    authenticator: Authenticator,
}

impl Tokened {
    fn new(keys: &[Value]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = table(&[
            ("VIEWER", principal(&["CN=viewer"], &["v1"])),
            ("OTHER", principal(&["CN=other"], &["o1"])),
        ]);
        settings.jwt = Some(self::settings(write(folder.path(), keys)));
        let authenticator = Authenticator::new(&settings, None).unwrap();
        Self { folder, settings, authenticator }
    }

    fn who(&self, token: &str) -> Who {
        principal_of(&self.authenticator, &peer(None), &bearer(token))
    }
}

#[test]
fn nobody_in_particular_is_anonymous() {
    let authenticator = Authenticator::new(&AccessSettings::default(), None).unwrap();
    assert_eq!(principal_of(&authenticator, &peer(None), &HeaderMap::new()), Ok(None));
    // A certificate says nothing where nobody is known by one; a token is always meant for us.
    let (certificate, _) = Authority::new().client("viewer", vec![], 1);
    assert_eq!(principal_of(&authenticator, &peer(Some(&certificate)), &HeaderMap::new()), Ok(None));
    assert_eq!(principal_of(&authenticator, &peer(None), &bearer("a.b.c")), Err(Unauthenticated::NotTaken));
}

#[test]
fn a_certificate_is_known_by_any_of_its_names() {
    let authority = Authority::new();
    let names = || {
        vec![
            SanType::DnsName("WS1.example".try_into().unwrap()),
            SanType::URI("urn:device:1".try_into().unwrap()),
            SanType::Rfc822Name("room@example".try_into().unwrap()),
        ]
    };
    let (certificate, _) = authority.client("Viewer 1", names(), 1);
    let who = |certificates: &[&str]| {
        let authenticator =
            Authenticator::new(&table(&[("VIEWER", principal(certificates, &[]))]), None).unwrap();
        principal_of(&authenticator, &peer(Some(&certificate)), &HeaderMap::new())
    };
    for name in ["CN=Viewer 1", "DNS:ws1.EXAMPLE", "URI:urn:device:1", "email:room@example"] {
        assert_eq!(who(&[name]), known("VIEWER"), "{name}");
    }
    assert_eq!(who(&["CN=Viewer 1", "DNS:ws1.example"]), known("VIEWER"));
    for name in ["CN=viewer 1", "CN=ws1.example", "DNS:Viewer 1", "DNS:example", "URI:urn:device:2"] {
        assert_eq!(who(&[name]), Err(Unauthenticated::Certificate), "{name}");
    }

    let two =
        table(&[("ONE", principal(&["CN=Viewer 1"], &[])), ("TWO", principal(&["DNS:ws1.example"], &[]))]);
    let authenticator = Authenticator::new(&two, None).unwrap();
    assert_eq!(
        principal_of(&authenticator, &peer(Some(&certificate)), &HeaderMap::new()),
        Err(Unauthenticated::Names)
    );
    let garbage = PeerInfo { client_certificate: Some("garbage".into()), ..peer(None) };
    assert_eq!(principal_of(&authenticator, &garbage, &HeaderMap::new()), Err(Unauthenticated::Names));
}

#[test]
fn principals_must_be_told_apart() {
    let error = |settings: AccessSettings| Authenticator::new(&settings, None).unwrap_err().to_string();
    let said = error(table(&[("A", principal(&["CN=x"], &[])), ("B", principal(&["CN=y", "CN=x"], &[]))]));
    assert_eq!(said, "principal.A and principal.B have an entry of certificates in common");
    let said = error(table(&[("A", principal(&[], &["s"])), ("B", principal(&[], &["s"]))]));
    assert_eq!(said, "principal.A and principal.B have an entry of subjects in common");
    let said = error(table(&[("A", principal(&["CN=x", "O=x"], &[]))]));
    assert!(said.starts_with("principal.A.certificates: entry 2 is not"), "{said}");
    Authenticator::new(&table(&[("A", principal(&["CN=x", "CN=x"], &["s", "s"]))]), None).unwrap();
}

#[test]
fn every_algorithm_of_the_profile_is_believed() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    for algorithm in [ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512] {
        let signer = Signer::new("k1", algorithm);
        let tokened = Tokened::new(&[signer.jwk()]);
        assert_eq!(tokened.who(&signer.sign(&claims("v1"))), known("VIEWER"), "{algorithm:?}");
    }
}

#[test]
fn a_token_must_be_of_the_issuer_for_us_and_of_now() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let tokened = Tokened::new(&[signer.jwk()]);
    let with = |name: &str, value: Value| {
        let mut claims = claims("v1");
        claims[name] = value;
        tokened.who(&signer.sign(&claims))
    };
    for good in [
        with("aud", json!(["else", AUDIENCE])),
        with("nbf", json!(seconds_from_now(-1))),
        with("nbf", json!(seconds_from_now(3))),
        with("exp", json!(seconds_from_now(-3))),
    ] {
        assert_eq!(good, known("VIEWER"));
    }
    for (name, value, why) in [
        ("exp", json!(seconds_from_now(-8)), Unauthenticated::Expired),
        ("exp", Value::Null, Unauthenticated::Claims),
        ("exp", json!("soon"), Unauthenticated::Claims),
        ("nbf", json!(seconds_from_now(60)), Unauthenticated::Early),
        ("nbf", json!("soon"), Unauthenticated::Claims),
        ("iss", json!("https://else.example"), Unauthenticated::Issuer),
        ("iss", json!([ISSUER]), Unauthenticated::Claims),
        ("iss", Value::Null, Unauthenticated::Claims),
        ("aud", json!("else"), Unauthenticated::Audience),
        ("aud", json!([]), Unauthenticated::Audience),
        ("aud", Value::Null, Unauthenticated::Claims),
        ("sub", json!("nobody"), Unauthenticated::Subject),
        ("sub", Value::Null, Unauthenticated::Claims),
    ] {
        assert_eq!(with(name, value.clone()), Err(why), "{name} {value}");
    }
}

#[test]
fn what_a_token_says_holds_until_it_expires() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let tokened = Tokened::new(&[signer.jwk()]);
    let (certificate, _) = Authority::new().client("viewer", vec![], 1);
    let until = |peer: &PeerInfo, exp: Value| {
        let mut claims = claims("v1");
        claims["exp"] = exp;
        tokened.authenticator.authenticate(peer, &bearer(&signer.sign(&claims))).unwrap().until
    };
    let at = seconds_from_now(60);
    let leeway = tokened.settings.jwt.as_ref().unwrap().leeway;
    let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(at.try_into().unwrap()) + leeway;
    assert_eq!(until(&peer(None), json!(at)), Some(expected));
    assert_eq!(until(&peer(Some(&certificate)), json!(at)), Some(expected));
    let half = Duration::from_millis(500);
    assert_eq!(until(&peer(None), json!(at as f64 + 0.5)), Some(expected + half));
    assert_eq!(until(&peer(None), json!(1e19)), None);
    let by_certificate = tokened.authenticator.authenticate(&peer(Some(&certificate)), &HeaderMap::new());
    assert_eq!(by_certificate.unwrap().until, None);
}

#[test]
fn a_token_must_be_signed_by_the_key_that_it_names() {
    let (one, two) = (Signer::new("one", Algorithm::ES256), Signer::new("two", Algorithm::ES256));
    let forger = Signer::new("one", Algorithm::ES256);
    let tokened = Tokened::new(&[one.jwk(), two.jwk()]);
    let claims = claims("v1");
    assert_eq!(tokened.who(&one.sign(&claims)), known("VIEWER"));
    assert_eq!(tokened.who(&two.sign(&claims)), known("VIEWER"));
    assert_eq!(tokened.who(&forger.sign(&claims)), Err(Unauthenticated::Signature));
    assert_eq!(tokened.who(&Signer::new("three", Algorithm::ES256).sign(&claims)), Err(Unauthenticated::Key));

    let mut nameless = one.header();
    nameless.kid = None;
    assert_eq!(tokened.who(&one.sign_with(&nameless, &claims)), Err(Unauthenticated::Key), "two fit");
    let single = Tokened::new(&[one.jwk(), Signer::new("ed", Algorithm::EdDSA).jwk()]);
    assert_eq!(single.who(&one.sign_with(&nameless, &claims)), known("VIEWER"));

    let token = one.sign(&claims);
    let (message, _) = token.rsplit_once('.').unwrap();
    let (_, signature) =
        two.sign(&claims).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(tokened.who(&format!("{message}.{signature}")), Err(Unauthenticated::Signature));
    assert_eq!(tokened.who(&format!("{message}.")), Err(Unauthenticated::Signature));
    assert_eq!(tokened.who(message), Err(Unauthenticated::Malformed));
}

/// RFC 8725 §2.1: `none`, and HMAC with the public key as the secret.
#[test]
fn algorithms_without_a_private_key_are_refused() {
    use base64::Engine as _;
    let base64 = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let signer = Signer::new("k1", Algorithm::ES256);
    let tokened = Tokened::new(&[signer.jwk()]);
    for name in ["none", "None", "nonsense"] {
        let token = format!("{}.{}.", base64(&json!({ "alg": name, "kid": "k1" })), base64(&claims("v1")));
        assert_eq!(tokened.who(&token), Err(Unauthenticated::Malformed), "{name}");
    }
    let secret = jsonwebtoken::EncodingKey::from_secret(signer.jwk().to_string().as_bytes());
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = jsonwebtoken::Header { kid: Some("k1".into()), ..jsonwebtoken::Header::new(algorithm) };
        let token = jsonwebtoken::encode(&header, &claims("v1"), &secret).unwrap();
        assert_eq!(tokened.who(&token), Err(Unauthenticated::Algorithm), "{algorithm:?}");
    }
}

#[test]
fn tokens_of_other_kinds_are_refused() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let tokened = Tokened::new(&[signer.jwk()]);
    let of = |kind: Option<&str>| {
        let mut header = signer.header();
        header.typ = kind.map(str::to_owned);
        tokened.who(&signer.sign_with(&header, &claims("v1")))
    };
    for kind in [None, Some("JWT"), Some("at+jwt"), Some("application/at+JWT")] {
        assert_eq!(of(kind), known("VIEWER"), "{kind:?}");
    }
    assert_eq!(of(Some("logout+jwt")), Err(Unauthenticated::Algorithm));
    let mut header = signer.header();
    header.crit = Some(vec!["b64".to_owned()]);
    assert_eq!(tokened.who(&signer.sign_with(&header, &claims("v1"))), Err(Unauthenticated::Algorithm));
}

#[test]
fn a_certificate_and_a_token_must_agree() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let tokened = Tokened::new(&[signer.jwk()]);
    let authority = Authority::new();
    let who = |certificate: &str, subject: &str| {
        let (certificate, _) = authority.client(certificate, vec![], 1);
        principal_of(
            &tokened.authenticator,
            &peer(Some(&certificate)),
            &bearer(&signer.sign(&claims(subject))),
        )
    };
    assert_eq!(who("viewer", "v1"), known("VIEWER"));
    assert_eq!(who("viewer", "o1"), Err(Unauthenticated::Differ));
    assert_eq!(who("viewer", "nobody"), Err(Unauthenticated::Subject));
    assert_eq!(who("stranger", "v1"), Err(Unauthenticated::Certificate));
}

#[test]
fn keys_follow_their_file_and_a_bad_file_changes_nothing() {
    let (old, new) = (Signer::new("old", Algorithm::ES256), Signer::new("new", Algorithm::EdDSA));
    let tokened = Tokened::new(&[old.jwk()]);
    let authenticator = &tokened.authenticator;
    assert!(!authenticator.keys_changed_on_disk());

    let file = write(tokened.folder.path(), &[new.jwk(), json!({ "kty": "future" })]);
    assert!(authenticator.keys_changed_on_disk());
    assert_eq!(tokened.who(&new.sign(&claims("v1"))), Err(Unauthenticated::Key), "not before it is read");
    assert_eq!(authenticator.renew_keys().unwrap().unwrap(), 1);
    assert!(!authenticator.keys_changed_on_disk());
    assert_eq!(tokened.who(&new.sign(&claims("v1"))), known("VIEWER"));
    assert_eq!(tokened.who(&old.sign(&claims("v1"))), Err(Unauthenticated::Key));

    fs::write(&file, "{").unwrap();
    assert!(authenticator.renew_keys().unwrap().is_err());
    assert!(!authenticator.keys_changed_on_disk(), "it is told once");
    assert_eq!(tokened.who(&new.sign(&claims("v1"))), known("VIEWER"));

    // A table that is read again while the file is bad keeps the keys.
    let again = Authenticator::new(&tokened.settings, Some(authenticator)).unwrap();
    assert_eq!(principal_of(&again, &peer(None), &bearer(&new.sign(&claims("v1")))), known("VIEWER"));
    Authenticator::new(&tokened.settings, None).unwrap_err();
}

#[test]
fn files_that_are_no_use_are_told_and_never_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let mut access = table(&[]);
    access.jwt = Some(settings(file.clone()));
    let reason = |text: &str| {
        fs::write(&file, text).unwrap();
        let error = Authenticator::new(&access, None).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains("keys.json") && !said.contains("sesame"), "{said}");
        said
    };
    let good = Signer::new("k1", Algorithm::ES256).jwk();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        json!({ "keys": [key] }).to_string()
    };
    assert!(reason("sesame").contains("line 1, column"));
    assert!(reason("{\"sesame\": 1}").contains("no array keys"));
    assert!(reason(&json!({ "keys": vec![&good; 65] }).to_string()).contains("more than 64 keys"));
    assert!(reason(&" ".repeat((1 << 20) + 1)).contains("larger than 1 MiB"));
    assert!(reason(&with("d", json!("sesame"))).contains("private or symmetric key"));
    assert!(
        reason("{\"keys\": [{\"kty\": \"oct\", \"k\": \"sesame\"}]}").contains("private or symmetric key")
    );
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("ES384")),
        ("crv", json!("P-521")),
        ("kty", json!("sesame")),
        ("x", json!("not base64!")),
    ] {
        assert!(reason(&with(name, value)).contains("holds no key for"), "{name}");
    }
    fs::remove_file(&file).unwrap();
    assert!(Authenticator::new(&access, None).unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn no_text_of_ours_holds_a_name_or_a_subject() {
    let settings = table(&[("VIEWER", principal(&["CN=sesame"], &["sesame"]))]);
    let authenticator = Authenticator::new(&settings, None).unwrap();
    assert!(!format!("{authenticator:?}").contains("sesame"));
}

proptest::proptest! {
    #[test]
    fn any_token_is_an_error_and_nothing_worse(token in "[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){0,4}=?") {
        let folder = tempfile::tempdir().unwrap();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let tokens = Tokens::new(&settings(write(folder.path(), &[jwk])), None).unwrap();
        proptest::prop_assert!(tokens.believe(&token).is_err());
    }
}
