use super::*;
use crate::sink::push::counters::Standing;

#[tokio::test]
async fn a_destination_that_changes_goes_on_where_it_was_and_one_that_goes_is_refused() {
    let (mut first, mut second) = (Origin::http1(&[]).await, Origin::http1(&[]).await);
    let world = World::new(&[("ai", settings(&first, PushMode::Send))]);
    let subscription = world.subscribe("ai", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=2);
    assert_eq!(first.parts(2).await, labels("2", 1..=2));
    world.push.reload(named(&[("ai", settings(&second, PushMode::Send))]));
    assert_eq!(first.over().await, (true, 2));
    publish(&publisher, 3..=4);
    assert_eq!(second.parts(2).await, labels("2", 3..=4));
    world.push.reload(BTreeMap::new());
    assert_eq!(second.over().await, (true, 2));
    stands(&subscription, |state| state == PushState::Refused).await;
    world.push.reload(named(&[("ai", settings(&first, PushMode::Send))]));
    publish(&publisher, 5..=5);
    assert_eq!(distinct_until(&mut first, "2/5").await.0.last().unwrap(), "2/5", "it is back");
}

#[tokio::test]
async fn only_so_many_push_to_one_destination() {
    let mut origin = Origin::http1(&[]).await;
    let world =
        World::new(&[("ai", DestinationSettings { connections: 1, ..settings(&origin, PushMode::Send) })]);
    let first = world.subscribe("ai", |_| {});
    let second = world.subscribe("ai", |request| request.subscriber = Subscriber::parse("B").unwrap());
    let elsewhere =
        world.subscribe("nowhere", |request| request.subscriber = Subscriber::parse("C").unwrap());
    stands(&second, |state| state == PushState::Refused).await;
    stands(&elsewhere, |state| state == PushState::Refused).await;
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    assert_eq!(origin.parts(1).await, labels("2", 1..=1));
    world.registry.cancel(&first);
    assert_eq!(origin.over().await, (true, 1));
    assert_eq!(origin.parts(1).await, labels("2", 1..=1), "the second one has its place now");
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_waited_for() {
    let mut origin = Origin::http1(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let with_token = DestinationSettings { token: Some(token.clone()), ..settings(&origin, PushMode::Store) };
    let world = World::new(&[("pacs", with_token)]);
    let subscription = world.subscribe("pacs", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    stands(&subscription, |state| matches!(state, PushState::Waiting(_))).await;
    std::fs::write(&token, "abc").unwrap();
    assert_eq!(origin.parts(1).await, labels("2", 1..=1));
    assert_eq!(origin.headers()[0]["authorization"], "Bearer abc");
}

#[tokio::test]
async fn an_idle_connection_that_the_peer_closes_is_made_again() {
    let mut origin = Origin::http1(&[Act::Break(1)]).await;
    let world = World::new(&[("ai", settings(&origin, PushMode::Send))]);
    let subscription = world.subscribe("ai", |_| {});
    assert_eq!(origin.next().await, Told::Connected);
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    assert_eq!(origin.parts(1).await, labels("2", 1..=1));
    assert_eq!(
        distinct_until(&mut origin, "2/1").await.0,
        labels("2", 1..=1),
        "repeated on a new connection"
    );
    publisher.complete();
    stands(&subscription, |state| state == PushState::Idle).await;
}

#[tokio::test]
async fn the_gauge_has_each_push_in_one_state() {
    let mut origin = Origin::http1(&[]).await;
    let world = World::new(&[("ai", settings(&origin, PushMode::Send))]);
    let subscription = world.subscribe("ai", |_| {});
    let publisher = world.open("2");
    publish(&publisher, 1..=1);
    origin.parts(1).await;
    stands(&subscription, |state| state == PushState::Sending).await;
    let gauge = |state| {
        let standing = Standing { destination: "ai".to_owned(), state };
        world.counters.states.get_or_create(&standing).get()
    };
    let all = ["idle", "connecting", "sending", "waiting", "refused"];
    assert_eq!(all.map(gauge), [0, 0, 1, 0, 0]);
    world.registry.cancel(&subscription);
    patiently(async {
        while all.map(gauge) != [0; 5] {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
