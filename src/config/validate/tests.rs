//! What only shows when keys are seen together, each case alone.

use super::super::load;
use super::super::settings::{
    AuditSettings, HttpTls, HttpVersion, JwtSettings, PeerTls, PushMode, Right, Rights, Settings,
    TlsIdentity, WorklistPeer,
};

/// Loads from variables alone: `DIMSE__LISTEN` and value.
pub(super) fn from(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let env = variables.iter().map(|(name, value)| (format!("FRAMEGATE_{name}"), (*value).to_owned()));
    load(None, env.collect::<Vec<_>>().into_iter())
        .map(|loaded| loaded.settings)
        .map_err(|errors| errors.problems.iter().map(ToString::to_string).collect())
}

pub(super) fn refused(variables: &[(&str, &str)], part: &str) {
    let problems = from(variables).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(part), "{problems:?}");
}

#[test]
fn certificate_and_key_are_named_together() {
    refused(&[("DICOMWEB__TLS__CERTIFICATE", "/c")], "dicomweb.tls.key is not set");
    refused(&[("DICOMWEB__TLS__KEY", "/k")], "dicomweb.tls.certificate is not set");
    refused(&[("DICOMWEB__TLS__CLIENT_CA", "/a")], "dicomweb.tls.client_ca: stands without");
    refused(&[("DIMSE__TLS__CERTIFICATE", "/c")], "dimse.tls.key is not set");
    let both = [("DICOMWEB__TLS__CERTIFICATE", "/c"), ("DICOMWEB__TLS__KEY", "/k")];
    let HttpTls::Files(identity) = from(&both).unwrap().dicomweb.tls else { panic!("files") };
    assert_eq!(identity, TlsIdentity::new("/c".into(), "/k".into(), None));
    let all = [both[0], both[1], ("DICOMWEB__TLS__SELF_SIGNED", "true")];
    refused(&all, "FRAMEGATE_DICOMWEB__TLS__SELF_SIGNED: dicomweb.tls.self_signed: stands beside");
}

#[test]
fn dimse_tls_is_mutual() {
    let listen = ("DIMSE__TLS__LISTEN", "127.0.0.1:2762");
    let (certificate, key) = (("DIMSE__TLS__CERTIFICATE", "/c"), ("DIMSE__TLS__KEY", "/k"));
    refused(&[listen], "dimse.tls.listen: is set without");
    refused(&[listen, certificate, key], "dimse.tls.listen: is set without");
    let whole = from(&[listen, certificate, key, ("DIMSE__TLS__CLIENT_CA", "/a")]).unwrap();
    assert_eq!(whole.dimse.tls.unwrap().identity.client_ca, Some("/a".into()));
    assert_eq!(from(&[certificate, key]).unwrap().dimse.tls, None);
}

#[test]
fn listeners_have_ports_of_their_own() {
    refused(&[("DIMSE__LISTEN", "127.0.0.1:8443")], "127.0.0.1:8443 collides with dimse.listen");
    refused(&[("DIMSE__LISTEN", "0.0.0.0:8443")], "collides");
    refused(&[("DIMSE__LISTEN", "[::]:8443")], "collides");
    for fine in ["127.0.0.2:8443", "[::1]:8443", "127.0.0.1:8444", "127.0.0.1:0", ""] {
        assert!(from(&[("DIMSE__LISTEN", fine)]).is_ok(), "{fine}");
    }
    assert!(from(&[("DIMSE__LISTEN", "127.0.0.1:0"), ("DICOMWEB__LISTEN", "127.0.0.1:0")]).is_ok());
    assert_eq!(from(&[("DIMSE__LISTEN", "")]).unwrap().dimse.listen, None);
}

#[test]
fn limits_do_not_contradict_each_other() {
    refused(&[("DIMSE__LIMITS__ASSOCIATIONS", "8")], "associations_per_peer is more than");
    refused(&[("DICOMWEB__LIMITS__CONNECTIONS_PER_PEER", "257")], "connections_per_peer is more than");
    let frames = [("HUB__BUDGET_BYTES", "1048576"), ("SEND__LIMITS__FRAME_BYTES", "4096")];
    refused(&frames, "dimse.limits.frame_bytes is more than hub.budget_bytes");
    let frames = [("HUB__BUDGET_BYTES", "1048576"), ("DIMSE__LIMITS__FRAME_BYTES", "4096")];
    refused(&frames, "send.limits.frame_bytes is more than hub.budget_bytes");
    refused(&[("SUBSCRIPTIONS__TOTAL", "63")], "per_subscriber is more than subscriptions.total");
    refused(&[("HUB__QUIET_SECONDS", "1")], "hub.linger_ms is longer");
    refused(&[("PATTERN__COLOR", "true"), ("PATTERN__BITS", "12")], "colour has 8 bits");
    let large = [("PATTERN__ROWS", "1024"), ("PATTERN__COLUMNS", "1025"), ("PATTERN__ENABLED", "true")];
    let small = [frames.as_slice(), &[("SEND__LIMITS__FRAME_BYTES", "4096")]].concat();
    refused(&[large.as_slice(), &small].concat(), "a frame of the pattern has 1049600 bytes");
    assert!(from(&[large.as_slice(), &small].concat()[..2]).is_ok());
}

#[test]
fn nobody_is_shut_out_by_an_empty_list() {
    refused(&[("DICOMWEB__ALLOW", "")], "dicomweb.allow: lets nobody in");
    let any = from(&[("DIMSE__CALLING_AE_TITLES", "")]).unwrap();
    assert!(any.dimse.calling_ae_titles.is_empty());
}

#[test]
fn contradictions_are_reported_together() {
    let problems = from(&[
        ("DIMSE__LISTEN", "127.0.0.1:8443"),
        ("DIMSE__LIMITS__ASSOCIATIONS", "8"),
        ("DICOMWEB__TLS__KEY", "/k"),
    ]);
    assert_eq!(problems.unwrap_err().len(), 3);
}

/// Loads a file with a self-signed certificate.
fn from_file(text: &str) -> Result<Settings, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.toml");
    std::fs::write(&file, format!("dicomweb.tls.self_signed = true\n{text}")).unwrap();
    let place = format!("{}/", directory.path().display());
    load(Some(&file), std::iter::empty()).map(|loaded| loaded.settings).map_err(|errors| {
        errors.problems.iter().map(|problem| problem.to_string().replace(&place, "")).collect()
    })
}

fn file_refused(text: &str, problem: &str) {
    assert_eq!(from_file(text).unwrap_err(), [problem], "{text}");
}

const PACS: &str = "[destination.pacs]\nurl = 'https://pacs.example'\n";

#[test]
fn client_certificates_are_asked_for_before_they_are_judged() {
    let files = [("DICOMWEB__TLS__CERTIFICATE", "/c"), ("DICOMWEB__TLS__KEY", "/k")];
    let ca = ("DICOMWEB__TLS__CLIENT_CA", "/a");
    let (crl, optional) =
        (("DICOMWEB__TLS__CLIENT_CRL", "/r"), ("DICOMWEB__TLS__CLIENT_CERTIFICATE_OPTIONAL", "true"));
    refused(&[files[0], files[1], crl], "dicomweb.tls.client_crl: is about client certificates");
    refused(&[files[0], files[1], optional], "client_certificate_optional: is about client certificates");
    let HttpTls::Files(identity) = from(&[files[0], files[1], ca, crl, optional]).unwrap().dicomweb.tls
    else {
        panic!("files")
    };
    assert!(identity.client_certificate_optional);
    assert_eq!(identity.client_crl, Some("/r".into()));
    refused(&[("DICOMWEB__TLS__SELF_SIGNED", "true"), optional], "self_signed: stands beside");
    refused(&[("DIMSE__TLS__CLIENT_CRL", "/r")], "dimse.tls.client_crl: is about client certificates");
    let dimse = [
        ("DIMSE__TLS__LISTEN", "127.0.0.1:2762"),
        ("DIMSE__TLS__CERTIFICATE", "/c"),
        ("DIMSE__TLS__KEY", "/k"),
        ("DIMSE__TLS__CLIENT_CA", "/a"),
        ("DIMSE__TLS__CLIENT_CRL", "/r"),
    ];
    assert_eq!(from(&dimse).unwrap().dimse.tls.unwrap().identity.client_crl, Some("/r".into()));
}

#[test]
fn a_file_gives_nobody_a_right_unasked() {
    assert_eq!(from_file("").unwrap().access.anonymous, Rights::default());
    let text = "[access]\nanonymous = ['search', 'push-to']\nanonymous_destinations = ['*']\n\
                anonymous_filter = 'Modality=XA'\n";
    let rights = Rights {
        may: vec![Right::Search, Right::PushTo],
        destinations: vec!["*".into()],
        filter: "Modality=XA".into(),
    };
    assert_eq!(from_file(text).unwrap().access.anonymous, rights);
}

#[test]
fn tokens_are_taken_with_all_that_is_needed_to_check_them() {
    let all = "[access.jwt]\njwks = '/j'\nissuer = 'i'\naudience = 'a'\nleeway_seconds = 0\n";
    let jwt = JwtSettings {
        jwks: "/j".into(),
        issuer: "i".into(),
        audience: "a".into(),
        leeway: std::time::Duration::ZERO,
    };
    assert_eq!(from_file(all).unwrap().access.jwt, Some(jwt));
    assert_eq!(from_file("[access.jwt]\nleeway_seconds = 7\n").unwrap().access.jwt, None);
    file_refused(
        "[access.jwt]\nissuer = 'i'\naudience = 'a'\n",
        "f.toml:3:10: access.jwt.issuer: access.jwt.jwks is not set; \
         accepted: jwks, issuer and audience together",
    );
}

#[test]
fn to_push_somebody_needs_a_destination() {
    let push = "[principal.viewer]\nmay = ['push-to']\n";
    file_refused(
        push,
        "f.toml:3:7: principal.viewer.may: has push-to without a destination; \
         accepted: principal.viewer.destinations with it: names of destinations, or [\"*\"]",
    );
    refused(&[("ACCESS__ANONYMOUS", "search,console")], "access.anonymous: has console or phi");
    refused(&[("ACCESS__ANONYMOUS", "push-to")], "access.anonymous: has push-to without a destination");
    file_refused(
        &format!("{push}destinations = ['pcs']\n{PACS}"),
        "f.toml:4:16: principal.viewer.destinations: there is no [destination.pcs]; did you mean pacs?; \
         accepted: the name of a section [destination.NAME]",
    );
    let viewer = from_file(&format!("{push}destinations = ['pacs']\n{PACS}")).unwrap();
    assert_eq!(viewer.access.principals["viewer"].rights.destinations, ["pacs"]);
    assert!(from_file(&format!("{push}destinations = ['*']\n")).is_ok());
}

#[test]
fn principals_are_told_apart() {
    for key in ["certificates", "subjects"] {
        let two = |one: &str, other: &str| {
            format!("[principal.b]\n{key} = ['CN=x', '{one}']\n[principal.a]\n{key} = ['{other}']\n")
        };
        file_refused(
            &two("CN=y", "CN=y"),
            &format!(
                "f.toml:3:{}: principal.b.{key}: \"CN=y\" stands in principal.a.{key} too; \
                 accepted: a name or subject of one principal alone",
                key.len() + 4
            ),
        );
        assert!(from_file(&two("CN=y", "CN=z")).is_ok());
        assert!(from_file(&two("CN=x", "CN=z")).is_ok(), "twice with the same principal");
    }
}

#[test]
fn what_has_no_default_is_set() {
    file_refused(
        "[destination.pacs]\n",
        "f.toml:2:14: destination.pacs: destination.pacs.url is not set; \
         accepted: base URL of a DICOMweb service, for instance \"https://pacs.example/dicom-web\"",
    );
    let problems = from_file("subscription.a.rate = 1\navailability.b.key = ''\n").unwrap_err();
    let named: Vec<_> = problems.iter().map(|problem| problem.split(" is not").next().unwrap()).collect();
    assert_eq!(
        named,
        [
            "f.toml:2:14: subscription.a: subscription.a.search",
            "f.toml:2:14: subscription.a: subscription.a.subscriber",
            "f.toml:3:14: availability.b: availability.b.address",
            "f.toml:3:14: availability.b: availability.b.ae_title",
        ]
    );
}

#[test]
fn a_destination_is_taken_as_it_is_written() {
    let text = "[destination.pacs]\nurl = 'https://pacs.example/dicom-web/'\nmode = 'store'\nca = '/a'\n\
                certificate = '/c'\nkey = '/k'\ntoken = '/t'\nhttp = '1.1'\nretry_ms = 1000\nretry_max_seconds = 1\n";
    let pacs = &from_file(text).unwrap().destinations["pacs"];
    assert_eq!(pacs.url, "https://pacs.example/dicom-web");
    assert_eq!((pacs.mode, pacs.http), (PushMode::Store, HttpVersion::Http1));
    assert_eq!(pacs.identity, Some(("/c".into(), "/k".into())));
    assert_eq!((pacs.ca.to_str(), pacs.token.as_deref()), (Some("/a"), Some("/t".as_ref())));
    assert_eq!(pacs.retry, pacs.retry_max);
}

#[test]
fn plain_http_stays_on_this_host_unless_allowed() {
    let at = |url: &str, more: &str| from_file(&format!("[destination.pacs]\nurl = '{url}'\n{more}"));
    let problems = at("http://pacs.example/a", "").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("f.toml:3:7: destination.pacs.url: is plain HTTP"), "{problems:?}");
    assert!(at("http://pacs.example/a", "allow_plain = true").is_ok());
    assert!(at("http://127.0.0.1:8042/a", "").is_ok());
}

#[test]
fn a_destination_does_not_contradict_itself() {
    for (more, part) in [
        ("certificate = '/c'", "f.toml:4:15: destination.pacs.certificate: destination.pacs.key is not set"),
        ("key = '/k'", "f.toml:4:7: destination.pacs.key: destination.pacs.certificate is not set"),
        (
            "retry_ms = 2000\nretry_max_seconds = 1",
            "f.toml:4:12: destination.pacs.retry_ms: destination.pacs.retry_ms is more than",
        ),
    ] {
        let problems = from_file(&format!("{PACS}{more}\n")).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(part), "{problems:?}");
    }
}

#[test]
fn a_subscription_names_what_there_is() {
    let search = "[subscription.review]\nsearch = '/series'\nsubscriber = 'REVIEW'\n";
    file_refused(
        &format!("{search}destination = 'pacs'\n"),
        "f.toml:5:15: subscription.review.destination: there is no [destination.pacs]; \
         accepted: the name of a section [destination.NAME]",
    );
    file_refused(
        &format!("{search}principal = 'viewer'\n"),
        "f.toml:5:13: subscription.review.principal: there is no [principal.viewer]; \
         accepted: the name of a section [principal.NAME]",
    );
    file_refused(
        &format!("{search}representation = 'rendered'\ntransfer_syntax = '1.2.840.10008.1.2.1'\n"),
        "f.toml:6:19: subscription.review.transfer_syntax: stands beside a rendered representation, \
         which has no transfer syntax; accepted: one of the two",
    );
    let text = format!("{search}destination = 'pacs'\nprincipal = 'v'\nrate = 7\n[principal.v]\n{PACS}");
    let review = from_file(&text).unwrap().standing["review"].clone();
    assert_eq!((review.destination.as_deref(), review.principal.as_deref()), (Some("pacs"), Some("v")));
    assert_eq!((review.rate, review.from.as_str(), review.rendered), (Some(7.0), "oldest", false));
    let bare = from_file(search).unwrap().standing["review"].clone();
    assert_eq!((bare.rate, bare.transfer_syntax, bare.destination, bare.principal), (None, None, None, None));
}

#[test]
fn a_notified_peer_is_trusted_by_its_roots() {
    let ris = "dimse.ae_title = 'ROOM1'\n[availability.ris]\naddress = 'ris.example:104'\nae_title = 'RIS'\n";
    let plain = from_file(ris).unwrap().availability["ris"].peer.clone();
    assert_eq!((plain.calling_ae_title.as_str(), plain.tls), ("ROOM1", None));
    let tls = from_file(&format!("{ris}ca = '/a'\nretrieve_url = 'https://g.example/dicomweb/'\n")).unwrap();
    assert_eq!(tls.availability["ris"].peer.tls, Some(PeerTls { ca: "/a".into(), identity: None }));
    assert_eq!(tls.availability["ris"].retrieve_url, "https://g.example/dicomweb");
    let problems = from_file(&format!("{ris}certificate = '/c'\nkey = '/k'\n")).unwrap_err();
    assert!(problems[0].contains("availability.ris.certificate: stands without roots"), "{problems:?}");
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_worklist_is_reached_one_way() {
    let ris = "[worklist.ris]\naddress = 'ris.example:104'\nae_title = 'RIS'\n";
    let WorklistPeer::Dimse(peer) = from_file(ris).unwrap().worklists["ris"].peer.clone() else {
        panic!("by DIMSE")
    };
    assert_eq!((peer.address.as_str(), peer.calling_ae_title.as_str()), ("ris.example:104", "FRAMEGATE"));
    let web = "[worklist.ris]\nurl = 'https://ris.example/dicomweb/'\ntoken = '/t'\n";
    let WorklistPeer::Web(peer) = from_file(web).unwrap().worklists["ris"].peer.clone() else {
        panic!("over the web")
    };
    assert_eq!((peer.url.as_str(), peer.token), ("https://ris.example/dicomweb", Some("/t".into())));
    assert!(peer.ca.is_absolute(), "the system's roots");
    for (text, part) in [
        ("[worklist.ris]\n", "neither worklist.ris.address nor worklist.ris.url is set"),
        ("[worklist.ris]\naddress = 'a:1'\n", "worklist.ris.ae_title is not set"),
        (&format!("{ris}token = '/t'\n"), "worklist.ris.token: stands without url"),
        (&format!("{web}ae_title = 'A'\n"), "worklist.ris.ae_title: stands beside worklist.ris.url"),
        ("[worklist.ris]\nurl = 'http://ris.example'\n", "worklist.ris.url: is plain HTTP"),
        (&format!("{ris}certificate = '/c'\nkey = '/k'\n"), "stands without roots"),
    ] {
        let problems = from_file(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(part), "{problems:?}");
    }
    assert!(from_file("[worklist.ris]\nurl = 'http://127.0.0.1:8042/a'\n").is_ok());
}

#[test]
fn who_is_told_what_was_performed_is_named_whole() {
    let ris =
        "[mpps.ris]\naddress = 'ris.example:104'\nae_title = 'RIS'\ncalling_ae_title = 'XA1'\nca = '/a'\n";
    let peer = from_file(ris).unwrap().mpps["ris"].peer.clone();
    assert_eq!((peer.calling_ae_title.as_str(), peer.tls.unwrap().ca), ("XA1", "/a".into()));
    assert_eq!(from_file("[mpps.ris]\nca = '/a'\n").unwrap_err().len(), 2);
    let capture = format!("{ris}[capture.room]\nmpps = 'rsi'\n");
    let problems = from_file(&capture).unwrap_err();
    assert!(problems[0].contains("capture.room.mpps: there is no [mpps.rsi]"), "{problems:?}");
    assert!(from_file(&capture.replace("rsi", "ris")).is_ok());
}

#[test]
fn the_audit_trail_leaves_over_tls_or_not_at_all() {
    let audit = from_file("[audit]\nreceiver = 'audit.example:6514'\nca = '/a'\nqueue = 7\n").unwrap().audit;
    assert_eq!(audit.queue, 7);
    let receiver = audit.receiver.unwrap();
    assert_eq!((receiver.address.as_str(), receiver.tls.ca), ("audit.example:6514", "/a".into()));
    assert_eq!(from_file("[audit]\nca = '/a'\n").unwrap().audit, AuditSettings::default());
    let problems = from_file("[audit]\nreceiver = 'audit.example:6514'\n").unwrap_err();
    assert!(problems.len() == 1 && problems[0].contains("stands without roots"), "{problems:?}");
}

#[test]
fn of_each_kind_there_is_a_most() {
    let sections = |count: usize| (0..count).map(|n| format!("[principal.p{n:03}]\n")).collect::<String>();
    assert!(from_file(&sections(256)).is_ok());
    file_refused(
        &sections(257),
        "f.toml:2:12: principal: has 257 sections; accepted: at most 256 sections [principal.NAME]",
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.toml");
    std::fs::write(&file, format!("dicomweb.tls.self_signed = true\n{}", sections(256))).unwrap();
    std::fs::create_dir(directory.path().join("framegate.d")).unwrap();
    std::fs::write(directory.path().join("framegate.d/1.toml"), "[principal.zz]\n").unwrap();
    let problems = load(Some(&file), std::iter::empty()).unwrap_err().problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key.as_deref(), Some("principal.zz"));
    assert!(problems[0].at.ends_with("1.toml:1:12"), "{problems:?}");
}
