use super::*;

#[tokio::test]
async fn instances_go_out_one_by_one_as_they_come_and_the_request_ends_with_its_series() {
    for is_h2 in [false, true] {
        let mut origin = Origin::new(&[], is_h2, None).await;
        let http = if is_h2 { HttpVersion::Http2 } else { HttpVersion::Auto };
        let world = World::new(&[("ai", DestinationSettings { http, ..settings(&origin, PushMode::Send) })]);
        let subscription = world.subscribe("ai", |_| {});
        assert_eq!(origin.next().await, Told::Connected, "before there is anything to send");
        stands(&subscription, |state| state == PushState::Idle).await;
        let publisher = world.open("2");
        for number in 1..=5 {
            publish(&publisher, [number]);
            // Each is here before the next one is made.
            assert_eq!(origin.parts(1).await, labels("2", [number]));
        }
        publisher.complete();
        assert_eq!(origin.over().await, (true, 5));
        assert_eq!(sent(&subscription), 5);
        let head = &origin.headers()[0];
        assert!(
            head["content-type"]
                .to_str()
                .unwrap()
                .starts_with(r#"multipart/related; type="application/dicom"; "#)
        );
        assert_eq!(head["accept"], "application/dicom+json");

        // The next one on the same connection.
        let publisher = world.open("3");
        publish(&publisher, 1..=2);
        assert_eq!(origin.parts(2).await, labels("3", 1..=2));
        world.stop().await;
        assert_eq!(origin.over().await, (true, 2), "the closing delimiter comes when the service stops");
        assert_eq!(origin.connections(), 1);
        drop(publisher);
    }
}

#[tokio::test]
async fn only_what_is_searched_for_goes_out() {
    let mut origin = Origin::http1(&[]).await;
    let world = World::new(&[("ai", settings(&origin, PushMode::Send))]);
    world.subscribe("ai", |request| request.query = Query::parse("Modality=XA", &[]).unwrap());
    let (xa, us) = (world.open("2"), world.open("3"));
    publish(&us, 1..=3);
    publish(&xa, 1..=3);
    assert_eq!(origin.parts(3).await, labels("2", 1..=3));
    publish(&us, 4..=5);
    publish(&xa, 4..=4);
    assert_eq!(origin.parts(1).await, labels("2", 4..=4));
}

#[tokio::test]
async fn a_trial_comes_first_and_then_rotation_leaves_no_gap() {
    for is_h2 in [false, true] {
        // The second answer never comes: the third request does not wait for it.
        let mut origin = Origin::new(&[Act::Good, Act::Silent], is_h2, None).await;
        let http = if is_h2 { HttpVersion::Http2 } else { HttpVersion::Http1 };
        let settings = DestinationSettings { http, rotate_bytes: 4000, ..settings(&origin, PushMode::Send) };
        let world = World::new(&[("ai", settings)]);
        let subscription = world.subscribe("ai", |_| {});
        let publisher = world.open("2");
        publish(&publisher, 1..=5);
        assert_eq!(origin.parts(5).await, labels("2", 1..=5));
        assert_eq!(sent(&subscription), 5, "and none twice");
        assert_eq!(origin.headers().len(), 3);
        // HTTP/2 has one connection for all; HTTP/1.1 needs a second one while an answer is awaited.
        assert_eq!(origin.connections(), if is_h2 { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_peer_that_knows_no_send_is_asked_to_store_the_same() {
    for refusal in [Act::Early(405), Act::Early(404), Act::Answer(415, None, ""), Act::Answer(501, None, "")]
    {
        let mut origin = Origin::http1(std::slice::from_ref(&refusal)).await;
        // Some refuse only after the last byte, which the trial does not keep them waiting for.
        let times = Times { trial: Duration::ZERO, doubt: Duration::ZERO };
        let settings = settings(&origin, PushMode::SendThenStore);
        let world = World::with_times(HubSettings::default(), times, &[("pacs", settings)]);
        let subscription = world.subscribe("pacs", |_| {});
        let publisher = world.open("2");
        publish(&publisher, 1..=1);
        assert_eq!(origin.began().await, "/web/instances");
        assert_eq!(origin.began().await, "/web/studies");
        assert_eq!(origin.parts(1).await, labels("2", 1..=1));
        publish(&publisher, 2..=3);
        assert_eq!(origin.began().await, "/web/studies");
        assert_eq!(origin.parts(2).await, labels("2", 2..=3));
        patiently(async {
            while sent(&subscription) < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(sent(&subscription), 3, "each once");
        assert_eq!(world.missed("pacs"), 0);
    }
}

#[tokio::test]
async fn a_peer_that_refuses_is_tried_again_slowly_and_loses_nothing_that_is_in_memory() {
    let mut origin = Origin::http1(&[Act::Early(401), Act::Early(403)]).await;
    let world = World::new(&[("ai", settings(&origin, PushMode::Send))]);
    let subscription = world.subscribe("ai", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=3);
    assert_eq!(distinct_until(&mut origin, "2/3").await.0, labels("2", 1..=3));
    assert_eq!(origin.headers().len(), 3);
    assert_eq!(sent(&subscription), 3);
    assert_eq!(world.missed("ai"), 0);
}

#[tokio::test]
async fn a_refusal_shows_as_such_until_the_destination_is_changed() {
    let mut origin = Origin::http1(&[]).await;
    origin.otherwise(Act::Early(403));
    let hour = Duration::from_secs(3600);
    let slow = DestinationSettings { retry_max: hour, ..settings(&origin, PushMode::Send) };
    let world = World::new(&[("ai", slow.clone())]);
    let subscription = world.subscribe("ai", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    stands(&subscription, |state| state == PushState::Refused).await;
    origin.otherwise(Act::Good);
    world.push.reload(named(&[("ai", DestinationSettings { rotate_bytes: 99, ..slow })]));
    assert_eq!(distinct_until(&mut origin, "2/1").await.0, labels("2", 1..=1));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let mut origin = Origin::http1(&[]).await;
    origin.otherwise(Act::Answer(503, Some(("retry-after", "120")), ""));
    let world =
        World::new(&[("ai", DestinationSettings { rotate_bytes: 1, ..settings(&origin, PushMode::Send) })]);
    let subscription = world.subscribe("ai", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    assert_eq!(origin.parts(1).await, labels("2", 1..=1));
    let state = stands(&subscription, |state| matches!(state, PushState::Waiting(_))).await;
    let PushState::Waiting(until) = state else { panic!("{state:?}") };
    assert!(until > std::time::Instant::now() + Duration::from_secs(60), "much longer than retry_max");
}

#[tokio::test]
async fn after_a_break_it_goes_on_with_what_may_not_have_arrived() {
    for is_h2 in [false, true] {
        let mut origin = Origin::new(&[Act::Good, Act::Break(2), Act::Break(1)], is_h2, None).await;
        let http = if is_h2 { HttpVersion::Http2 } else { HttpVersion::Http1 };
        let world = World::new(&[("ai", DestinationSettings { http, ..settings(&origin, PushMode::Send) })]);
        let subscription = world.subscribe("ai", |_| {});
        // A first request that goes well, so that the broken one is no trial.
        let publisher = world.open("3");
        publish(&publisher, 1..=1);
        publisher.complete();
        assert_eq!(origin.parts(1).await, labels("3", 1..=1));
        stands(&subscription, |state| state == PushState::Idle).await;

        let publisher = world.open("2");
        publish(&publisher, 1..=6);
        let (seen, _) = distinct_until(&mut origin, "2/6").await;
        // 3/1 is from the second before, and comes once more.
        let ours: Vec<_> = seen.into_iter().filter(|label| label.starts_with("2/")).collect();
        assert_eq!(ours, labels("2", 1..=6), "none is lost, whatever came twice");
        assert_eq!(world.missed("ai"), 0);
    }
}

#[tokio::test]
async fn a_goodbye_ends_the_request_properly_and_the_rest_goes_over_a_new_connection() {
    let mut origin = Origin::http2(&[Act::Good, Act::Goodbye(2)]).await;
    let http2 = DestinationSettings { http: HttpVersion::Http2, ..settings(&origin, PushMode::Send) };
    let world = World::new(&[("ai", http2)]);
    let subscription = world.subscribe("ai", |_| {});
    let publisher = world.open("3");
    publish(&publisher, 1..=1);
    publisher.complete();
    assert_eq!(origin.over().await, (true, 1));
    stands(&subscription, |state| state == PushState::Idle).await;

    let publisher = world.open("2");
    publish(&publisher, 1..=2);
    assert_eq!(origin.parts(2).await, labels("2", 1..=2));
    assert_eq!(origin.over().await, (true, 2), "with its closing delimiter");
    publish(&publisher, 3..=4);
    assert_eq!(origin.parts(2).await, labels("2", 3..=4));
    assert_eq!(sent(&subscription), 5, "none twice");
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_peer_that_never_reads_is_given_up_and_holds_up_nobody() {
    let (mut dead, mut good) = (Origin::http1(&[Act::Never]).await, Origin::http1(&[]).await);
    dead.otherwise(Act::Never);
    let short =
        DestinationSettings { send_timeout: Duration::from_millis(300), ..settings(&dead, PushMode::Send) };
    // Room for 40 of the instances.
    let hub = HubSettings { budget_bytes: 40 << 18, linger: Duration::ZERO, ..HubSettings::default() };
    let world = World::with_hub(hub, &[("dead", short), ("good", settings(&good, PushMode::Send))]);
    let slow = world.subscribe("dead", |_| {});
    world.subscribe("good", |_| {});
    let publisher = world.open("2");
    for number in 1..=200 {
        publisher.publish(instance("2", number, 1 << 18)).unwrap();
        assert_eq!(good.parts(1).await, labels("2", [number]), "everything, and at once");
    }
    assert_eq!(dead.began().await, "/web/instances");
    assert_eq!(dead.began().await, "/web/instances", "it was given up and tried again");
    assert_eq!(world.missed("good"), 0);
    assert!(world.missed("dead") > 0);
    assert_eq!(slow.progress().missed.load(Ordering::Relaxed), world.missed("dead"));
    assert!(world.hub.occupancy().bytes <= 40 << 18);
}

#[tokio::test]
async fn a_dead_peer_is_tried_again_until_it_lives() {
    let origin = Origin::http1(&[]).await;
    let settings = settings(&origin, PushMode::Send);
    let address = origin.address;
    drop(origin);
    let world = World::new(&[("ai", settings.clone())]);
    let subscription = world.subscribe("ai", |_| {});
    stands(&subscription, |state| matches!(state, PushState::Waiting(_))).await;
    let publisher = world.open("2");
    publish(&publisher, 1..=3);
    // Another one takes its place, most likely at another port.
    let mut origin = Origin::http1(&[]).await;
    if origin.address != address {
        let url = format!("http://{}/web", origin.address);
        world.push.reload(named(&[("ai", DestinationSettings { url, ..settings })]));
    }
    assert_eq!(origin.parts(3).await, labels("2", 1..=3));
    assert_eq!(sent(&subscription), 3);
}

#[tokio::test]
async fn a_peer_whose_certificate_does_not_chain_to_our_roots_gets_nothing() {
    use crate::net::tls::testing::Authority;
    use crate::net::tls::{HTTP_ALPN, load};
    let folder = tempfile::tempdir().unwrap();
    let (theirs, other) = (Authority::new(), Authority::new());
    let identity = theirs.write_identity(folder.path(), "peer", &["127.0.0.1"]);
    let mut origin = Origin::new(&[], false, Some(load(&identity, HTTP_ALPN).unwrap().config)).await;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &other.certificate_pem).unwrap();
    let url = format!("https://{}/web", origin.address);
    let world = World::new(&[(
        "ai",
        DestinationSettings { url, ca: ca.clone(), ..settings(&origin, PushMode::Send) },
    )]);
    let subscription = world.subscribe("ai", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=2);
    stands(&subscription, |state| matches!(state, PushState::Waiting(_))).await;
    assert_eq!(origin.headers().len(), 0);
    // The right roots are put in place, and found without a reload.
    std::fs::write(&ca, &theirs.certificate_pem).unwrap();
    assert_eq!(origin.parts(2).await, labels("2", 1..=2));
}

#[tokio::test]
async fn an_answer_that_lies_is_counted() {
    let nothing = r#"{"00081198": {"vr": "SQ"}, "00081199": {"vr": "SQ"}}"#;
    let failures = r#"{"00081199": {"vr": "SQ", "Value": [{}]},
        "00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [49152]}}]}}"#;
    let script =
        [Act::Answer(200, None, nothing), Act::Answer(202, None, failures), Act::Answer(200, None, "<x/>")];
    let mut origin = Origin::http1(&script).await;
    let world = World::new(&[("ai", settings(&origin, PushMode::Send))]);
    let subscription = world.subscribe("ai", |_| {});
    for series in ["2", "3", "4"] {
        let publisher = world.open(series);
        publish(&publisher, 1..=2);
        publisher.complete();
        assert_eq!(origin.over().await, (true, 2));
        stands(&subscription, |state| state == PushState::Idle).await;
    }
    assert_eq!((world.failed("ai", "unnamed"), world.failed("ai", "Cxxx")), (2, 1));
    assert_eq!(subscription.progress().failed.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn content_that_is_refused_is_not_repeated() {
    let mut origin = Origin::http1(&[Act::Answer(400, None, "")]).await;
    let world = World::new(&[("ai", settings(&origin, PushMode::Send))]);
    world.subscribe("ai", |_| {});
    let publisher = world.open("3");
    publish(&publisher, 1..=2);
    publisher.complete();
    assert_eq!(origin.over().await, (true, 2));
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    assert_eq!(origin.parts(1).await, labels("2", 1..=1));
    assert_eq!(world.failed("ai", "content"), 2);
}

#[tokio::test]
async fn rate_pause_and_suspension_steer_a_running_push() {
    let mut origin = Origin::http1(&[]).await;
    let world = World::new(&[("ai", settings(&origin, PushMode::Send))]);
    let subscription = world.subscribe("ai", |request| request.from = From::Latest);
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    assert_eq!(origin.parts(1).await, labels("2", 1..=1));

    world.registry.update(&subscription, Options { rate: None, paused: true });
    publish(&publisher, 2..=4);
    world.registry.update(&subscription, Options { rate: None, paused: false });
    assert_eq!(origin.parts(3).await, labels("2", 2..=4), "a pause loses nothing that memory holds");

    world.registry.suspend(&subscription, true);
    assert!(origin.over().await.0, "a suspension ends the request");
    stands(&subscription, |state| state == PushState::Idle).await;
    publish(&publisher, 5..=7);
    world.registry.suspend(&subscription, false);
    assert_eq!(origin.parts(1).await, labels("2", 7..=7), "it starts afresh, at the latest");

    // One in a thousand seconds: the first, and no other.
    world.registry.update(&subscription, Options { rate: Some(0.001), paused: false });
    publish(&publisher, 8..=20);
    publisher.complete();
    assert_eq!(origin.over().await, (true, 2), "7, and one of the others");
}

#[tokio::test]
async fn what_its_owner_may_no_longer_see_is_not_pushed() {
    use crate::subscription::registry::Verdict;
    let mut origin = Origin::http1(&[]).await;
    let world = World::new(&[("ai", settings(&origin, PushMode::Send))]);
    world.subscribe("ai", |_| {});
    let (xa, us) = (world.open("2"), world.open("3"));
    publish(&us, 1..=1);
    assert_eq!(origin.parts(1).await, labels("3", 1..=1));
    let only_xa = Arc::new(Query::parse("Modality=XA", &[]).unwrap());
    world.registry.review(|_| Verdict::GoesOn(Some(only_xa.clone())));
    publish(&us, 2..=3);
    publish(&xa, 1..=2);
    assert_eq!(origin.parts(2).await, labels("2", 1..=2));
}
