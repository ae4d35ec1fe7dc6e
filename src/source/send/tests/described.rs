//! Metadata and bulk data.

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn metadata_and_bulk_data_become_the_same_instances_as_a_file() {
    let text = metadata(&[with_bulk("1.1", 1, json!({}))]);
    let parts = [(JSON, "", &text[..]), (OCTETS, "/pixels/1.1", &[7; 24])];
    let mut expected = image("1.1", 1);
    expected.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::from(vec![7u8; 24])));
    for body in [body(&parts), counted(&parts)] {
        let trial = trial();
        let report = trial.send(JSON, &body).await;
        assert_eq!((report.failed_count, taken(&report)), (0, vec![("1.1", false)]));
        let [instance] = &trial.instances()[..] else { panic!("one instance") };
        assert_eq!(&**instance.transfer_syntax(), EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(instance.pixels()[..], [7; 24]);
        let object = instance.object().unwrap();
        assert_eq!(text_of(&object), text_of(&expected));
    }
}

#[tokio::test]
async fn frames_of_bulk_data_are_live_while_it_arrives() {
    let trial = trial();
    let text = metadata(&[with_bulk("1.1", 3, json!({}))]);
    let body = counted(&[(JSON, "", &text[..]), (OCTETS, "/pixels/1.1", &[7; 72])]);
    let end = body.len() - b"\r\n--b--".len();
    let mut intake = trial.begin(JSON, None);
    let mut sent = 0;
    for (frames, missing) in [(0, 49), (1, 48), (2, 24), (3, 0)] {
        intake.feed(Bytes::copy_from_slice(&body[sent..end - missing])).await.unwrap();
        sent = end - missing;
        assert_eq!(trial.instances().len(), frames, "{missing} bytes are missing");
    }
    intake.feed(Bytes::copy_from_slice(&body[end..])).await.unwrap();
    assert_eq!(taken(&intake.finish(End::Body)), [("1.1", true)]);
}

#[tokio::test]
async fn compressed_bulk_data_is_one_fragment() {
    for (kind, syntax) in [
        ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", JPEG),
        ("image/jpeg", "1.2.840.10008.1.2.4.70"),
        ("image/dicom-rle", "1.2.840.10008.1.2.5"),
    ] {
        let trial = trial();
        let text = metadata(&[with_bulk("1.1", 1, json!({}))]);
        let parts = [(JSON, "", &text[..]), (kind, "/pixels/1.1", &[0xFF, 0xD8, 1, 0xFF, 0xD9])];
        for body in [body(&parts), counted(&parts)] {
            let report = trial.send(JSON, &body).await;
            assert_eq!((report.failed_count, taken(&report)), (0, vec![("1.1", false)]), "{kind}");
        }
        let [instance] = &trial.instances()[..] else { panic!("one instance") };
        assert_eq!(&**instance.transfer_syntax(), syntax);
        assert_eq!(instance.fragments(), [&[0xFF, 0xD8, 1, 0xFF, 0xD9, 0][..]]);
        assert!(instance.object().is_ok());
    }
}

#[tokio::test]
async fn bulk_data_comes_in_any_order_and_anywhere() {
    let lut = json!({"vr": "SQ", "Value": [{"00283006": {"vr": "OW", "BulkDataURI": "/lut"}}]});
    let icc = json!({"vr": "OB", "BulkDataURI": "/icc"});
    let text = metadata(&[with_bulk("1.1", 1, json!({"00283010": lut, "00282000": icc}))]);
    let parts: [(&str, &str, &[u8]); 3] =
        [(OCTETS, "/pixels/1.1", &[7; 24]), (OCTETS, "/icc", &[1, 2, 3]), (OCTETS, "/lut", &[4, 5])];
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
        let all = [vec![(JSON, "", &text[..])], order.map(|index: usize| parts[index]).to_vec()].concat();
        for body in [body(&all), counted(&all)] {
            let trial = trial();
            let report = trial.send(JSON, &body).await;
            assert_eq!((report.failed_count, taken(&report)), (0, vec![("1.1", false)]), "{order:?}");
            let [instance] = &trial.instances()[..] else { panic!("one instance") };
            assert_eq!(instance.pixels()[..], [7; 24]);
            let set = instance.dataset().unwrap();
            assert_eq!(set.element(tags::ICC_PROFILE).unwrap().to_bytes().unwrap()[..3], [1, 2, 3]);
            let items = set.element(tags::VOILUT_SEQUENCE).unwrap().items().unwrap();
            assert_eq!(items[0].element(tags::LUT_DATA).unwrap().to_bytes().unwrap()[..], [4, 5]);
        }
    }
}

#[tokio::test]
async fn metadata_that_waits_for_nothing_is_taken_at_once() {
    let trial = trial();
    let mut inline = text_of(&image("1.1", 1));
    inline["7FE00010"] = json!({"vr": "OB", "InlineBinary": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"});
    let mut named = text_of(&report_object("1.2"));
    named["00100010"] = json!({"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]});
    let text = metadata(&[inline, named]);
    let body = counted(&[(JSON, "", &text)]);
    let mut intake = trial.begin(JSON, None);
    intake.feed(Bytes::copy_from_slice(&body[..body.len() - 7])).await.unwrap();
    let held = trial.instances();
    assert_eq!(held[0].pixels()[..], [7; 24]);
    let name = held[1].dataset().unwrap().element(tags::PATIENT_NAME).unwrap().to_str().unwrap().into_owned();
    assert_eq!(name, "Müller^Jörg");
}

#[tokio::test]
async fn each_data_set_fails_for_its_own_reason() {
    let good = (OCTETS, "/pixels/1.1", &[7; 24][..]);
    let one = |more: Value| metadata(&[with_bulk("1.9", 1, more), with_bulk("1.1", 1, json!({}))]);
    let pixels = |kind: &'static str| (kind, "/pixels/1.9", &[7; 24][..]);
    let large = vec![0; 5000];
    let wide = vec![0; 9000];
    let icc = json!({"00282000": {"vr": "OB", "BulkDataURI": "/icc"}});
    let another = json!({"00282000": {"vr": "OB", "BulkDataURI": "/pixels/1.9"}});
    let class = json!({"00080016": {"vr": "UI", "Value": ["1.2.3"]}});
    let study = json!({"0020000D": {"vr": "UI"}});
    let nobody = json!({"00080018": {"vr": "UI", "Value": ["x"]}});
    let bad = json!({"00100010": {"vr": "PN", "Value": 7}});
    let many = json!({"0040A730": {"vr": "SQ", "Value": vec![json!({}); 200]}});
    let none = json!({});
    use Cause as C;
    for (name, more, part, identified, cause) in [
        ("no bulk data", &none, None, true, C::CannotUnderstand),
        ("half of it", &icc, Some(pixels(OCTETS)), true, C::CannotUnderstand),
        ("one URI for two", &another, None, false, C::CannotUnderstand),
        ("no syntax", &none, Some(pixels("image/png")), true, C::TransferSyntaxNotSupported),
        (
            "big endian",
            &none,
            Some(pixels("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.2")),
            true,
            C::TransferSyntaxNotSupported,
        ),
        ("no image", &class, Some(pixels(OCTETS)), true, C::SopClassNotSupported),
        ("no study", &study, Some(pixels(OCTETS)), true, C::DataSetMismatch),
        ("nobody", &nobody, None, false, C::CannotUnderstand),
        ("malformed", &bad, None, false, C::CannotUnderstand),
        ("too many elements", &many, None, false, C::OutOfResources),
        ("too large", &none, Some((OCTETS, "/pixels/1.9", &large[..])), true, C::OutOfResources),
        ("too much besides", &icc, Some((OCTETS, "/icc", &wide[..])), true, C::OutOfResources),
    ] {
        let text = one(more.clone());
        let parts: Vec<_> = [Some((JSON, "", &text[..])), part, Some(good)].into_iter().flatten().collect();
        for body in [body(&parts), counted(&parts)] {
            let trial = trial();
            let report = trial.send(JSON, &body).await;
            assert_eq!((report.end, taken(&report)), (End::Body, vec![("1.1", false)]), "{name}");
            let causes: Vec<_> = report.failed.iter().map(|(_, cause)| *cause).collect();
            let lists = (&causes[..], &report.unidentified[..]);
            let expected: (&[_], &[_]) = if identified { (&[cause], &[]) } else { (&[], &[cause]) };
            assert_eq!(lists, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn metadata_that_is_none_and_parts_that_nothing_names_fail() {
    let text = metadata(&[with_bulk("1.1", 1, json!({}))]);
    let good = (OCTETS, "/pixels/1.1", &[7; 24][..]);
    let unknown = (OCTETS, "/other", &[1][..]);
    let nameless = (OCTETS, "", &[1][..]);
    let report = trial().send(JSON, &body(&[(JSON, "", &text), unknown, nameless, good, good])).await;
    assert_eq!(taken(&report), [("1.1", false)]);
    assert_eq!(report.unidentified, [Cause::CannotUnderstand; 3]);

    let report = trial().send(JSON, &body(&[good])).await;
    assert_eq!(report.unidentified, [Cause::CannotUnderstand]);
    let report = trial().send(JSON, &body(&[(JSON, "", b"{")])).await;
    assert_eq!(report.unidentified, [Cause::CannotUnderstand]);
    let report = trial().send(JSON, &body(&[(JSON, "", &[b' '; 9000])])).await;
    assert_eq!((&report.unidentified[..], report.too_large), (&[Cause::OutOfResources][..], true));
    let twice = metadata(&[with_bulk("1.1", 1, json!({})), with_bulk("1.1", 1, json!({}))]);
    let report = trial().send(JSON, &body(&[(JSON, "", &twice), good])).await;
    assert_eq!((report.taken_count, report.failed_count), (1, 1));
}

#[tokio::test]
async fn what_is_held_for_later_is_bounded_over_all_data_sets() {
    let icc = |instance: &str| json!({"00282000": {"vr": "OB", "BulkDataURI": format!("/icc/{instance}")}});
    let text = metadata(&[with_bulk("1.1", 1, icc("1.1")), with_bulk("1.2", 1, icc("1.2"))]);
    let pixels = vec![7; 3000];
    let parts = [(JSON, "", &text[..]), (OCTETS, "/pixels/1.1", &pixels), (OCTETS, "/pixels/1.2", &pixels)];
    let report = trial().send(JSON, &body(&parts)).await;
    assert_eq!(
        report.failed,
        [(reference(XA, "1.2"), Cause::OutOfResources), (reference(XA, "1.1"), Cause::CannotUnderstand)]
    );
}
