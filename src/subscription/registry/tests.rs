use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;
use proptest::prelude::*;

use super::*;
use crate::config::settings::HubSettings;
use crate::hub::Hub;
use crate::instance::Dataset;
use crate::subscription::scope::Level;

thread_local! { static NOW: Cell<Option<Instant>> = const { Cell::new(None) }; }

/// A clock that stands still until the test moves it.
fn now() -> Instant {
    NOW.with(|cell| {
        let now = cell.get().unwrap_or_else(Instant::now);
        cell.set(Some(now));
        now
    })
}

fn pass(seconds: u64) {
    let then = now() + Duration::from_secs(seconds);
    NOW.with(|cell| cell.set(Some(then)));
}

fn registry(total: usize, per_subscriber: usize) -> Registry {
    let lease = Duration::from_secs(60);
    let settings = SubscriptionSettings { total, per_subscriber, lease, ..Default::default() };
    Registry::with_clock(settings, now)
}

fn request(subscriber: &str, keys: &str) -> Request {
    Request { owner: Some("alice".into()), ..testing::request(subscriber, keys) }
}

fn ids(registry: &Registry) -> Vec<Arc<str>> {
    registry.all().iter().map(|known| known.id().clone()).collect()
}

/// Says whether it changed since the last look.
fn woken(watch: &mut watch::Receiver<()>) -> bool {
    let changed = watch.has_changed().unwrap();
    watch.mark_unchanged();
    changed
}

#[test]
fn the_same_search_is_the_same_subscription() {
    let registry = registry(10, 10);
    let (first, how) = registry.subscribe(request("A", "Modality=XA")).unwrap();
    assert_eq!(how, Registered::Created);
    let mut again = request("A", "00080060=XA");
    again.options = Options { rate: Some(5.0), paused: true };
    again.lease = Some(Duration::from_secs(30));
    pass(10);
    let (second, how) = registry.subscribe(again.clone()).unwrap();
    assert_eq!((how, second.id()), (Registered::Renewed, first.id()));
    assert_eq!(*first.options(), again.options);
    assert_eq!(first.lease_left(now()), Some(Duration::from_secs(30)));
    let other_delivery = Request { delivery: Delivery::Push("pacs".into()), ..request("A", "Modality=XA") };
    let other_form = Request { form: Form::Rendered, ..request("A", "Modality=XA") };
    let other_scope = Request {
        scope: Scope { level: Level::Series, study: Some("1.2".into()), series: None },
        ..request("A", "Modality=XA")
    };
    for other in
        [other_delivery, other_form, other_scope, request("A", "Modality=US"), request("B", "Modality=XA")]
    {
        assert_eq!(registry.subscribe(other).unwrap().1, Registered::Created);
    }
    assert_eq!(registry.all().len(), 6);
    assert_eq!(registry.of(&Subscriber::parse("A").unwrap(), None).len(), 5);
    let series = Scope { level: Level::Series, study: None, series: None };
    assert_eq!(registry.of(&Subscriber::parse("A").unwrap(), Some(&series)).len(), 4);
    assert_eq!(registry.find(first.id()).unwrap().id(), first.id());
    assert!(registry.find("nobody").is_none());
}

#[test]
fn bounds_hold_and_renewal_is_not_held_to_them() {
    let registry = registry(3, 2);
    for keys in ["PatientID=1", "PatientID=2"] {
        registry.subscribe(request("A", keys)).unwrap();
    }
    let refused = registry.subscribe(request("A", "PatientID=3")).unwrap_err();
    assert_eq!(refused, SubscribeError::PerSubscriber(2));
    registry.subscribe(request("B", "PatientID=1")).unwrap();
    assert_eq!(registry.subscribe(request("C", "")).unwrap_err(), SubscribeError::Total(3));
    assert_eq!(registry.subscribe(request("A", "PatientID=1")).unwrap().1, Registered::Renewed);
    registry.reload(SubscriptionSettings { total: 4, ..SubscriptionSettings::clone(&registry.settings()) });
    registry.subscribe(request("C", "")).unwrap();
}

#[test]
fn a_name_belongs_to_who_used_it_first_until_it_is_free() {
    let registry = registry(10, 10);
    let (alices, _) = registry.subscribe(request("A", "")).unwrap();
    for owner in [None, Some("bob".into())] {
        let bobs = Request { owner, ..request("A", "Modality=US") };
        assert_eq!(registry.subscribe(bobs).unwrap_err(), SubscribeError::Taken);
    }
    let (second, _) = registry.subscribe(request("A", "Modality=US")).unwrap();
    assert_eq!(second.channel(), alices.channel(), "one channel for all of a subscriber's");
    registry.cancel(&alices);
    registry.cancel(&second);
    let (bobs, _) = registry.subscribe(Request { owner: None, ..request("A", "") }).unwrap();
    assert_ne!(bobs.channel(), alices.channel(), "the former owner knows the former channel");
    assert_ne!(bobs.id(), alices.id());
}

#[test]
fn a_lease_ends_unless_it_is_renewed() {
    let registry = registry(10, 10);
    let lease = |seconds| Some(Duration::from_secs(seconds));
    let (short, _) = registry.subscribe(Request { lease: lease(10), ..request("A", "PatientID=1") }).unwrap();
    let (greedy, _) =
        registry.subscribe(Request { lease: lease(1000), ..request("A", "PatientID=2") }).unwrap();
    assert_eq!(greedy.lease_left(now()), lease(60), "no longer than configured");
    let mut watch = registry.changed();
    pass(9);
    registry.tick();
    assert!(!woken(&mut watch) && !short.has_ended());
    registry.change(&short, &Changes { lease: lease(5), ..Changes::default() });
    pass(4);
    registry.tick();
    assert!(!short.has_ended(), "renewed");
    pass(1);
    let mut of_short = short.changed();
    registry.tick();
    assert!(short.has_ended() && woken(&mut of_short) && woken(&mut watch));
    assert_eq!(ids(&registry), [greedy.id().clone()]);
    assert_eq!(short.lease_left(now()), Some(Duration::ZERO));
    pass(60);
    registry.tick();
    assert!(registry.all().is_empty());
}

#[test]
fn whatever_changes_a_subscription_wakes_its_watchers() {
    let registry = registry(10, 10);
    let mut all = registry.changed();
    let (one, _) = registry.subscribe(request("A", "")).unwrap();
    assert!(woken(&mut all));
    let mut watch = one.changed();
    registry.suspend(&one, true);
    assert!(woken(&mut watch) && one.is_suspended());
    registry.suspend(&one, false);
    assert!(woken(&mut watch) && !one.is_suspended());
    registry.update(&one, Options { rate: Some(2.0), paused: true });
    assert!(woken(&mut watch));
    registry.change(&one, &Changes { rate: Some(Some(3.0)), ..Changes::default() });
    assert!(woken(&mut watch));
    assert_eq!(*one.options(), Options { rate: Some(3.0), paused: true }, "what is not named stays");
    registry.change(&one, &Changes { rate: Some(None), paused: Some(false), lease: None });
    assert_eq!(*one.options(), Options { rate: None, paused: false });
    assert!(woken(&mut watch) && !woken(&mut all), "those who watch for others sleep on");
    registry.subscribe(request("A", "")).unwrap();
    assert!(woken(&mut watch) && !woken(&mut all));
    registry.cancel(&one);
    assert!(woken(&mut watch) && woken(&mut all) && one.has_ended());
    registry.cancel(&one);
    assert!(!woken(&mut all), "it is gone already");
}

#[test]
fn a_snapshot_is_in_the_order_of_registration() {
    let registry = registry(10, 10);
    let made: Vec<_> = ["1", "2", "3", "4"]
        .map(|id| registry.subscribe(request("A", &format!("PatientID={id}"))).unwrap().0)
        .into();
    let before = registry.all();
    registry.cancel(&made[1]);
    registry.subscribe(request("A", "PatientID=1")).unwrap();
    let expected: Vec<_> = [0, 2, 3].map(|index: usize| made[index].id().clone()).into();
    assert_eq!(ids(&registry), expected);
    assert_eq!(before.len(), 4, "a snapshot stays what it was");
}

#[test]
fn those_of_the_configuration_stay_and_follow_it() {
    let registry = registry(2, 1);
    let three = ["PatientID=1", "PatientID=2", "PatientID=3"].map(|keys| request("PACS", keys));
    registry.stand(three.to_vec());
    assert_eq!(registry.all().len(), 3, "the bounds are for clients");
    let one = registry.all()[0].clone();
    assert!(one.is_standing() && one.lease_left(now()).is_none());
    registry.cancel(&one);
    pass(1_000_000);
    registry.tick();
    registry.change(&one, &Changes { lease: Some(Duration::from_secs(1)), ..Changes::default() });
    registry.suspend(&one, true);
    pass(10);
    registry.tick();
    assert_eq!(registry.all().len(), 3);
    assert_eq!(registry.subscribe(three[0].clone()).unwrap().1, Registered::Renewed);

    registry.update(&one, Options { rate: Some(1.0), paused: true });
    let before = ids(&registry);
    registry.stand(three.to_vec());
    assert_eq!(ids(&registry), before, "written as before");
    assert_eq!(one.options().rate, Some(1.0), "what was changed meanwhile stays changed");
    assert!(one.is_suspended());

    let mut changed = three.to_vec();
    changed[0].options.rate = Some(7.0);
    changed.remove(2);
    registry.stand(changed);
    assert!(one.has_ended(), "it is written otherwise");
    let fresh = registry.all()[1].clone();
    assert_eq!((registry.all().len(), fresh.options().rate), (2, Some(7.0)));
    assert_eq!(fresh.channel(), one.channel(), "whoever listens goes on listening");
    registry.stand(Vec::new());
    assert!(registry.all().is_empty());
}

#[test]
fn the_configuration_comes_before_its_clients() {
    let registry = registry(10, 10);
    let (same, _) = registry.subscribe(request("A", "Modality=XA")).unwrap();
    let (other, _) = registry.subscribe(request("A", "Modality=US")).unwrap();
    registry.stand(vec![request("A", "Modality=XA")]);
    assert!(same.has_ended() && !other.has_ended());
    assert_eq!(registry.all().len(), 2);
    assert!(registry.all().iter().all(|known| known.channel() == same.channel()));

    let bobs = Request { owner: Some("bob".into()), ..request("A", "Modality=XA") };
    registry.stand(vec![bobs, request("A", "Modality=CT")]);
    assert!(other.has_ended(), "the name is bob's now");
    let [standing] = &registry.all()[..] else { panic!("one stands") };
    assert_eq!(standing.request().owner.as_deref(), Some("bob"));
    assert_ne!(standing.channel(), same.channel(), "who had the name before knows that one");
}

fn opened(modality: &str) -> (Hub, Arc<crate::hub::LiveSeries>) {
    let hub = Hub::new(HubSettings::default());
    let dataset = Dataset::from_element_iter([DataElement::new(tags::MODALITY, VR::CS, modality)]);
    let publisher =
        hub.open(&"1".into(), &"2".into(), || Ok::<_, std::convert::Infallible>(dataset)).unwrap();
    let live = publisher.series().clone();
    (hub, live)
}

#[test]
fn a_subscription_sees_what_its_owner_may_see() {
    let registry = registry(10, 10);
    let filter = |text: &str| Some(Arc::new(Query::parse(text, &[]).unwrap()));
    let (_hub, live) = opened("XA");
    let (one, _) = registry.subscribe(request("A", "Modality=XA")).unwrap();
    let matches = || one.matches_series(&live, live.context());
    assert!(matches());
    let mut watch = one.changed();
    registry.review(|known| {
        assert_eq!(known.id(), one.id());
        Verdict::GoesOn(filter("Modality=US"))
    });
    assert!(!matches() && woken(&mut watch));
    registry
        .subscribe(Request { restriction: filter("Modality=XA"), ..request("A", "Modality=XA") })
        .unwrap();
    assert!(matches(), "renewal brings the filter of today");
    registry.review(|_| Verdict::Ends);
    assert!(one.has_ended() && registry.all().is_empty());
}

#[test]
fn an_instance_is_searched_for_at_its_own_level_only() {
    let registry = registry(10, 10);
    let (_hub, live) = opened("XA");
    let at = |level, keys| {
        let scope = Scope { level, study: None, series: None };
        registry.subscribe(Request { scope, ..request("A", keys) }).unwrap().0
    };
    let series = at(Level::Series, "Modality=XA");
    assert!(series.matches_instance(|| panic!("nobody needs the data set")));
    let all = at(Level::Instances, "");
    assert!(all.matches_instance(|| panic!("nobody needs the data set")));
    let some = at(Level::Instances, "InstanceNumber=2");
    let number = |number: &str| {
        Some(Arc::new(Dataset::from_element_iter([DataElement::new(tags::INSTANCE_NUMBER, VR::IS, number)])))
    };
    assert!(some.matches_series(&live, live.context()));
    assert!(some.matches_instance(|| number("2")) && !some.matches_instance(|| number("3")));
    assert!(!some.matches_instance(|| None));
}

#[test]
fn debug_output_keeps_match_keys_to_itself() {
    let registry = registry(10, 10);
    let (one, _) = registry.subscribe(request("A", "PatientName=Doe")).unwrap();
    let shown = format!("{one:?} {:?} {registry:?}", one.request());
    assert!(shown.contains("Subscriber") && !shown.contains("Doe"), "{shown}");
}

#[test]
fn names_are_short_and_plain() {
    for good in ["A", "metadata", "AE_TITLE-1.x", &"x".repeat(64)] {
        assert_eq!(Subscriber::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "a b", "a/b", "é", "a\n", "a?b", &"x".repeat(65)] {
        assert!(Subscriber::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn progress_is_written_by_who_delivers() {
    let registry = registry(10, 10);
    let (one, _) = registry.subscribe(request("A", "")).unwrap();
    assert_eq!(one.progress().state(), PushState::Idle);
    one.progress().set_state(PushState::Waiting(now()));
    one.progress().sent.fetch_add(3, Ordering::Relaxed);
    assert_eq!(one.progress().state(), PushState::Waiting(now()));
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe { subscriber: u8, owner: u8, keys: u8, pushed: bool, lease: u64 },
    Stand(Vec<(u8, u8, u8)>),
    Cancel(usize),
    Change(usize, Option<u64>),
    Suspend(usize, bool),
    Tick(u64),
    Review(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..4u8, 0..3u8, 0..4u8, any::<bool>(), 1..90u64).prop_map(
            |(subscriber, owner, keys, pushed, lease)| Step::Subscribe { subscriber, owner, keys, pushed, lease }
        ),
        1 => proptest::collection::vec((0..4u8, 0..3u8, 0..4u8), 0..4).prop_map(Step::Stand),
        2 => any::<usize>().prop_map(Step::Cancel),
        1 => (any::<usize>(), proptest::option::of(1..90u64)).prop_map(|(at, lease)| Step::Change(at, lease)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, on)| Step::Suspend(at, on)),
        2 => (0..40u64).prop_map(Step::Tick),
        1 => (0..3u8).prop_map(Step::Review),
    ]
}

/// Owner 0 is the anonymous one.
fn made(subscriber: u8, owner: u8, keys: u8) -> Request {
    let owner = (owner > 0).then(|| Arc::from(format!("owner{owner}")));
    Request { owner, ..request(&format!("S{subscriber}"), &format!("PatientID={keys}")) }
}

proptest! {
    #[test]
    fn bounds_and_identities_hold_whatever_happens(steps in proptest::collection::vec(step(), 0..60)) {
        let (total, per_subscriber) = (6, 3);
        let registry = registry(total, per_subscriber);
        for step in steps {
            let all = registry.all();
            let at = |index: usize| all.get(index % all.len().max(1)).cloned();
            match step {
                Step::Subscribe { subscriber, owner, keys, pushed, lease } => {
                    let delivery =
                        if pushed { Delivery::Push("pacs".into()) } else { Delivery::Notification };
                    let lease = Some(Duration::from_secs(lease));
                    if let Ok((_, Registered::Created)) =
                        registry.subscribe(Request { delivery, lease, ..made(subscriber, owner, keys) })
                    {
                        prop_assert!(registry.all().len() <= total);
                        let name = Subscriber::parse(&format!("S{subscriber}")).unwrap();
                        prop_assert!(registry.of(&name, None).len() <= per_subscriber);
                    }
                }
                Step::Stand(list) => {
                    registry.stand(list.into_iter().map(|(a, b, c)| made(a, b, c)).collect());
                }
                Step::Cancel(index) => at(index).iter().for_each(|one| registry.cancel(one)),
                Step::Change(index, lease) => {
                    let changes = Changes { lease: lease.map(Duration::from_secs), ..Changes::default() };
                    at(index).iter().for_each(|one| registry.change(one, &changes));
                }
                Step::Suspend(index, on) => at(index).iter().for_each(|one| registry.suspend(one, on)),
                Step::Tick(seconds) => {
                    pass(seconds);
                    registry.tick();
                    prop_assert!(registry.all().iter().all(|one| one.lease_left(now()) != Some(Duration::ZERO)));
                }
                Step::Review(owner) => {
                    let gone = made(0, owner, 0).owner;
                    registry.review(|one| match one.request().owner == gone && !one.is_standing() {
                        true => Verdict::Ends,
                        false => Verdict::GoesOn(None),
                    });
                }
            }
            let after = registry.all();
            let (mut owners, mut channels) = (BTreeMap::new(), BTreeMap::new());
            for (index, one) in after.iter().enumerate() {
                let request = one.request();
                prop_assert!(!one.has_ended());
                prop_assert!(after[..index].iter().all(|other| !other.request().is_same_as(request)));
                let owner = owners.entry(&request.subscriber).or_insert(&request.owner);
                prop_assert_eq!(*owner, &request.owner);
                let channel = channels.entry(&request.subscriber).or_insert(one.channel());
                prop_assert_eq!(*channel, one.channel());
            }
            prop_assert_eq!(channels.values().collect::<BTreeSet<_>>().len(), channels.len());
            let registered = after.iter().filter(|one| !one.is_standing()).count();
            prop_assert!(registered <= total);
            // Those that stay keep their places, and those that have gone know it.
            let now: BTreeSet<_> = after.iter().map(|one| one.id().clone()).collect();
            let (kept, gone): (Vec<_>, Vec<_>) =
                all.iter().cloned().partition(|one| now.contains(one.id()));
            prop_assert!(gone.iter().all(|one| one.has_ended()));
            let kept: Vec<_> = kept.iter().map(|one| one.id().clone()).collect();
            prop_assert_eq!(&ids(&registry)[..kept.len()], &kept[..]);
        }
    }
}
