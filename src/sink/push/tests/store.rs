use super::*;

#[tokio::test]
async fn each_instance_is_a_request_of_known_length() {
    for is_h2 in [false, true] {
        let mut origin = Origin::new(&[], is_h2, None).await;
        let http = if is_h2 { HttpVersion::Http2 } else { HttpVersion::Http1 };
        let world =
            World::new(&[("pacs", DestinationSettings { http, ..settings(&origin, PushMode::Store) })]);
        let subscription = world.subscribe("pacs", |_| {});
        let publisher = world.open("2");
        publish(&publisher, 1..=3);
        for number in 1..=3 {
            assert_eq!(origin.began().await, "/web/studies");
            assert_eq!(origin.parts(1).await, labels("2", [number]));
            assert_eq!(origin.over().await, (true, 1));
        }
        assert!(origin.headers().iter().all(|head| head.contains_key("content-length")));
        stands(&subscription, |state| state == PushState::Idle).await;
        assert_eq!((sent(&subscription), origin.connections()), (3, 1));
    }
}

#[tokio::test]
async fn those_that_wait_go_together_if_a_batch_is_allowed() {
    let mut origin = Origin::http1(&[]).await;
    let world =
        World::new(&[("pacs", DestinationSettings { batch: 3, ..settings(&origin, PushMode::Store) })]);
    let publisher = world.open("2");
    publish(&publisher, 1..=7);
    world.subscribe("pacs", |_| {});
    for count in [3, 3, 1] {
        assert_eq!(origin.over().await, (true, count));
    }
}

#[tokio::test]
async fn failures_are_repeated_and_final_answers_are_not() {
    let script = [
        Act::Answer(500, None, ""),
        Act::Answer(503, Some(("retry-after", "0")), ""),
        Act::Break(1),
        Act::Answer(200, None, ""),
        Act::Answer(
            409,
            None,
            r#"{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [290]}}]}}"#,
        ),
        Act::Answer(202, Some(("content-type", "application/dicom+xml")), "<NativeDicomModel/>"),
        Act::Answer(413, None, ""),
        Act::Answer(200, None, r#"{"00081198": {"vr": "SQ"}, "00081199": {"vr": "SQ"}}"#),
    ];
    let mut origin = Origin::http1(&script).await;
    let world = World::new(&[("pacs", settings(&origin, PushMode::Store))]);
    let subscription = world.subscribe("pacs", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=6);
    let expected = labels("2", [1, 1, 1, 1, 2, 3, 4, 5, 6]);
    assert_eq!(origin.parts(9).await, expected);
    stands(&subscription, |state| state == PushState::Idle).await;
    let failed = ["0122", "content", "unnamed"].map(|reason| world.failed("pacs", reason));
    assert_eq!(failed, [1, 1, 1]);
    assert_eq!(sent(&subscription), 3);
    assert_eq!(subscription.progress().failed.load(Ordering::Relaxed), 3);
    assert_eq!(world.missed("pacs"), 0);
}

#[tokio::test]
async fn of_a_batch_that_is_refused_only_the_bad_one_is_left_out() {
    let script = [Act::Answer(400, None, ""), Act::Good, Act::Answer(400, None, "")];
    let mut origin = Origin::http1(&script).await;
    let world =
        World::new(&[("pacs", DestinationSettings { batch: 3, ..settings(&origin, PushMode::Store) })]);
    let publisher = world.open("2");
    publish(&publisher, 1..=5);
    let subscription = world.subscribe("pacs", |_| {});
    assert_eq!(origin.parts(8).await, labels("2", [1, 2, 3, 1, 2, 3, 4, 5]));
    stands(&subscription, |state| state == PushState::Idle).await;
    assert_eq!((sent(&subscription), world.failed("pacs", "content")), (4, 1));
}

#[tokio::test]
async fn what_memory_does_not_hold_until_it_works_again_is_missed() {
    let mut origin = Origin::http1(&[]).await;
    origin.otherwise(Act::Answer(500, None, ""));
    // Room for 10 of the instances.
    let hub = HubSettings { budget_bytes: 10 * 2010, linger: Duration::ZERO, ..HubSettings::default() };
    let world = World::with_hub(hub, &[("pacs", settings(&origin, PushMode::Store))]);
    let subscription = world.subscribe("pacs", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    assert_eq!(origin.parts(1).await, labels("2", 1..=1));
    publish(&publisher, 2..=20);
    // Nothing but the ring keeps them, so the first are gone.
    assert_eq!(world.hub.occupancy().instances, 10);
    while origin.parts(1).await == labels("2", 1..=1) {}
    origin.otherwise(Act::Good);
    let (_, repeated) = distinct_until(&mut origin, "2/20").await;
    stands(&subscription, |state| state == PushState::Idle).await;
    assert_eq!(sent(&subscription) + world.missed("pacs"), 20, "each is accounted for, {repeated} repeated");
    assert_eq!(world.missed("pacs"), 10);
}

#[tokio::test]
async fn pictures_cannot_be_stored() {
    let origin = Origin::http1(&[]).await;
    let world = World::new(&[("pacs", settings(&origin, PushMode::Store))]);
    let subscription = world.subscribe("pacs", |request| request.form = Form::Rendered);
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    stands(&subscription, |state| state == PushState::Refused).await;
    assert_eq!(origin.headers().len(), 0);
}
