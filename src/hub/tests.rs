use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;

use super::From::{Latest, Number, Oldest};
use super::*;
use crate::instance::{Identity, Pieces, PixelForm};

thread_local! { static NOW: Cell<Option<Instant>> = const { Cell::new(None) }; }

/// A clock that stands still until the test moves it.
fn now() -> Instant {
    NOW.with(|cell| {
        let now = cell.get().unwrap_or_else(Instant::now);
        cell.set(Some(now));
        now
    })
}

fn pass(time: Duration) {
    let then = now() + time;
    NOW.with(|cell| cell.set(Some(then)));
}

pub(super) fn instance(series: &str, number: i32, bytes: usize) -> Instance {
    Instance::new(Pieces {
        identity: Identity {
            study: "1".into(),
            series: series.into(),
            sop_class: "1.2".into(),
            sop_instance: format!("{series}.{number}").into(),
        },
        number: Some(number),
        transfer_syntax: "1.2.840.10008.1.2.1".into(),
        head: Bytes::new(),
        dataset_start: 0,
        dataset_end: 0,
        form: PixelForm::Absent,
        pixels: Bytes::from(vec![0; bytes]),
        tail: Bytes::new(),
    })
}

fn open(hub: &Hub, series: &str) -> Publisher {
    hub.open(&"1".into(), &series.into(), || Ok::<_, Infallible>(Dataset::new_empty())).unwrap()
}

fn small(budget_bytes: u64) -> HubSettings {
    HubSettings {
        budget_bytes,
        linger: Duration::from_secs(2),
        quiet: Duration::from_secs(60),
        ..HubSettings::default()
    }
}

/// Everything a cursor has without waiting: numbers seen, missed in all, the end.
fn drain(cursor: &mut Cursor) -> (Vec<i32>, u64, Option<End>) {
    let (mut seen, mut missed) = (Vec::new(), 0);
    loop {
        match cursor.try_next() {
            Some(Item::Instance(instance)) => seen.push(instance.number().unwrap()),
            Some(Item::Missed(all)) => missed += all.total(),
            Some(Item::End(end)) => return (seen, missed, Some(end)),
            None => return (seen, missed, None),
        }
    }
}

#[test]
fn the_oldest_leave_and_are_counted_as_missed() {
    let hub = Hub::new(small(1000));
    let publisher = open(&hub, "2");
    let mut slow = Cursor::new(publisher.series().clone(), From::Oldest);
    for number in 1..=15 {
        publisher.publish(instance("2", number, 100)).unwrap();
        assert!(hub.occupancy().bytes <= 1000);
    }
    assert_eq!(drain(&mut slow), ((6..=15).collect(), 5, None));
    assert_eq!(hub.occupancy().evicted, 5);
}

#[test]
fn one_budget_holds_over_all_series_and_a_large_instance_is_refused() {
    let hub = Hub::new(small(1000));
    let (a, b) = (open(&hub, "2"), open(&hub, "3"));
    a.publish(instance("2", 1, 600)).unwrap();
    b.publish(instance("3", 1, 600)).unwrap();
    assert!(a.series().is_empty(), "the older one left, though it is of another series");
    assert_eq!(b.series().len(), 1);
    assert_eq!(b.publish(instance("3", 2, 1001)), Err(PublishError::TooLarge(1000)));
    assert_eq!(b.series().len(), 1, "what cannot get in pushes nobody out");
}

#[test]
fn old_instances_leave_by_age_and_the_series_is_remembered() {
    let hub = Hub::with_clock(small(1000), now);
    let publisher = open(&hub, "2");
    publisher.publish(instance("2", 1, 10)).unwrap();
    pass(Duration::from_secs(59));
    publisher.publish(instance("2", 2, 10)).unwrap();
    publisher.complete();
    pass(Duration::from_secs(3));
    hub.tick();
    let live = hub.find("1", "2").unwrap();
    assert_eq!(drain(&mut Cursor::new(live, From::Oldest)), (vec![2], 0, Some(End::Completed)));
    pass(Duration::from_secs(60));
    hub.tick();
    assert!(hub.find("1", "2").is_none());
    assert!(hub.was_here("1", Some("2")) && hub.was_here("1", None) && !hub.was_here("1", Some("9")));
}

#[test]
fn a_series_ends_after_the_linger_time_of_its_last_source() {
    let hub = Hub::with_clock(small(1000), now);
    let (first, second) = (open(&hub, "2"), open(&hub, "2"));
    let live = first.series().clone();
    first.complete();
    pass(Duration::from_secs(5));
    hub.tick();
    assert_eq!(live.end(), None, "another source still feeds it");
    second.complete();
    hub.tick();
    assert_eq!(live.end(), None, "it lingers");
    pass(Duration::from_secs(2));
    hub.tick();
    assert_eq!(live.end(), Some(End::Completed));
}

#[test]
fn quiet_ends_a_series_and_the_next_instance_opens_it_again() {
    let hub = Hub::with_clock(small(1000), now);
    let mut events = hub.events();
    let publisher = open(&hub, "2");
    publisher.publish(instance("2", 1, 10)).unwrap();
    pass(Duration::from_secs(60));
    hub.tick();
    assert_eq!(publisher.series().end(), Some(End::Completed));
    let again = open(&hub, "2");
    assert_eq!(again.series().end(), None);
    publisher.complete();
    assert_eq!(again.series().end(), None);
    let kinds: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|event| match event {
            HubEvent::Opened(_) => "opened",
            HubEvent::Available(..) => "available",
            HubEvent::Ended(..) => "ended",
        })
        .collect();
    assert_eq!(kinds, ["opened", "available", "ended", "opened"]);
}

#[test]
fn a_dropped_publisher_aborts_and_shutdown_ends_all() {
    let hub = Hub::new(small(1000));
    let publisher = open(&hub, "2");
    let dead = publisher.series().clone();
    drop(publisher);
    assert_eq!(dead.end(), Some(End::Aborted));
    let alive = open(&hub, "3");
    hub.shutdown();
    assert_eq!(alive.series().end(), Some(End::Aborted));
    let refused = hub.open(&"1".into(), &"4".into(), || Ok::<_, Infallible>(Dataset::new_empty()));
    assert!(matches!(refused, Err(OpenError::Draining)));
}

#[test]
fn an_instance_is_published_once() {
    let hub = Hub::new(small(1000));
    let publisher = open(&hub, "2");
    assert_eq!(publisher.publish(instance("2", 1, 10)), Ok(Published::Accepted));
    assert_eq!(publisher.publish(instance("2", 1, 10)), Ok(Published::Duplicate));
    assert_eq!(publisher.series().len(), 1);
    assert!(publisher.series().instance("2.1").is_some());
}

#[test]
fn numbers_are_reserved_above_all_that_were_there() {
    let hub = Hub::new(small(1000));
    let publisher = open(&hub, "2");
    assert_eq!(publisher.reserve_numbers(10), 1);
    assert_eq!(publisher.reserve_numbers(5), 11);
    publisher.publish(instance("2", 40, 10)).unwrap();
    assert_eq!(publisher.reserve_numbers(1), 41);
}

#[test]
fn readers_start_where_they_ask() {
    let hub = Hub::new(small(1000));
    let publisher = open(&hub, "2");
    let mut empty = Cursor::new(publisher.series().clone(), From::Latest);
    for number in 1..=5 {
        publisher.publish(instance("2", number, 10)).unwrap();
    }
    let seen = |from| drain(&mut Cursor::new(publisher.series().clone(), from)).0;
    assert_eq!(seen(From::Oldest), [1, 2, 3, 4, 5]);
    assert_eq!(seen(From::Latest), [5]);
    assert_eq!(seen(From::Number(4)), [4, 5]);
    assert_eq!(seen(From::Number(9)), [0; 0]);
    assert_eq!(drain(&mut empty).0, [1, 2, 3, 4, 5]);
    let mut behind = Cursor::new(publisher.series().clone(), From::Oldest);
    behind.skip_to_latest();
    assert_eq!(drain(&mut behind), (vec![5], 0, None));
}

#[tokio::test]
async fn a_study_is_read_across_its_series_until_the_last_ends() {
    let hub = Hub::new(HubSettings { linger: Duration::ZERO, ..small(1000) });
    let first = open(&hub, "2");
    first.publish(instance("2", 1, 10)).unwrap();
    let mut cursors = Cursors::of_study(hub.clone(), "1".into(), From::Oldest);
    let mut next = async || match cursors.next().await.1 {
        Item::Instance(instance) => instance.identity().sop_instance.to_string(),
        Item::Missed(missed) => format!("missed {}", missed.total()),
        Item::End(end) => format!("{end:?}"),
    };
    assert_eq!(next().await, "2.1");
    let late = open(&hub, "3");
    let feeding = async {
        late.publish(instance("3", 1, 10)).unwrap();
        first.complete();
    };
    let (seen, ()) = tokio::join!(next(), feeding);
    assert_eq!(seen, "3.1");
    late.complete();
    assert_eq!(next().await, "Completed");
}

#[tokio::test]
async fn a_reader_goes_back_to_a_mark_and_what_has_left_meanwhile_is_missed() {
    let hub = Hub::new(small(1000));
    let (a, b) = (open(&hub, "2"), open(&hub, "3"));
    let mut cursors = Cursors::of_study(hub.clone(), "1".into(), From::Oldest);
    let read = async |cursors: &mut Cursors| match cursors.next().await {
        (Some(series), Item::Instance(instance)) => {
            (instance.identity().sop_instance.to_string(), cursors.mark(&series))
        }
        (_, other) => (format!("{other:?}"), None),
    };
    let mut marks = Vec::new();
    for number in 1..=3 {
        a.publish(instance("2", number, 100)).unwrap();
        let (uid, mark) = read(&mut cursors).await;
        assert_eq!(uid, format!("2.{number}"));
        marks.extend(mark);
    }
    b.publish(instance("3", 1, 100)).unwrap();
    assert_eq!(read(&mut cursors).await.0, "3.1");

    cursors.go_back(&marks[1]);
    cursors.go_back(&marks[2]);
    assert_eq!(read(&mut cursors).await.0, "2.2", "the earlier of the two, and only in its series");
    cursors.go_back(&marks[2]);
    assert_eq!(read(&mut cursors).await.0, "2.3");

    for number in 4..=9 {
        a.publish(instance("2", number, 200)).unwrap();
    }
    cursors.go_back(&marks[0]);
    assert_eq!(read(&mut cursors).await.0, "Missed(Missed { left: 4, lost: 0 })", "2.1 to 2.4");
    assert_eq!(read(&mut cursors).await.0, "2.5");
}

/// All that a cursor has without waiting, in words.
fn told(cursor: &mut Cursor) -> Vec<String> {
    std::iter::from_fn(|| cursor.try_next())
        .take_while(|item| !matches!(item, Item::End(_)))
        .map(|item| match item {
            Item::Instance(instance) => instance.number().unwrap().to_string(),
            Item::Missed(Missed { left, lost }) => format!("left {left} lost {lost}"),
            Item::End(_) => unreachable!(),
        })
        .collect()
}

#[test]
fn what_the_source_lost_is_told_once_to_those_who_read_across_it() {
    let hub = Hub::new(small(1000));
    let publisher = open(&hub, "2");
    let here_before = |from| Cursor::new(publisher.series().clone(), from);
    let mut from_the_beginning = here_before(Oldest);
    for (number, lost) in [(1, 0), (4, 2), (5, 0), (7, 1), (8, 0)] {
        publisher.publish_after(lost, instance("2", number, 10)).unwrap();
    }
    assert_eq!(told(&mut from_the_beginning), ["1", "left 0 lost 2", "4", "5", "left 0 lost 1", "7", "8"]);
    assert_eq!(told(&mut here_before(Latest)), ["8"]);
    assert_eq!(told(&mut here_before(Number(4))), ["4", "5", "left 0 lost 1", "7", "8"]);
    assert_eq!(told(&mut here_before(Number(3))), ["left 0 lost 1", "4", "5", "left 0 lost 1", "7", "8"]);
    let mut present = here_before(Oldest);
    present.skip_to_latest();
    assert_eq!(told(&mut present), ["left 0 lost 3", "8"], "lost to it too, and what it passes over is not");
}

#[test]
fn what_left_and_what_was_lost_before_it_are_told_together_and_apart() {
    let hub = Hub::new(small(300));
    let publisher = open(&hub, "2");
    let mut slow = Cursor::new(publisher.series().clone(), Oldest);
    for number in [2, 4, 6, 8, 10, 12] {
        publisher.publish_after(1, instance("2", number, 100)).unwrap();
    }
    let mut late = Cursor::new(publisher.series().clone(), Oldest);
    assert_eq!(told(&mut slow), ["left 3 lost 4", "8", "left 0 lost 1", "10", "left 0 lost 1", "12"]);
    assert_eq!(told(&mut late), ["8", "left 0 lost 1", "10", "left 0 lost 1", "12"]);
    // Nothing is left of what it had not read, and the next comes after a gap.
    let mut slow = Cursor::new(publisher.series().clone(), Oldest);
    hub.reload(small(0));
    hub.tick();
    assert_eq!(told(&mut slow), ["left 3 lost 2"]);
    hub.reload(small(300));
    publisher.publish_after(4, instance("2", 17, 100)).unwrap();
    assert_eq!(told(&mut slow), ["left 0 lost 4", "17"]);
}

#[tokio::test]
async fn a_reader_that_goes_back_is_not_told_again_what_was_lost() {
    let hub = Hub::new(small(1000));
    let publisher = open(&hub, "2");
    publisher.publish(instance("2", 1, 10)).unwrap();
    publisher.publish_after(1, instance("2", 3, 10)).unwrap();
    let mut cursors = Cursors::of_study(hub.clone(), "1".into(), Oldest);
    let mut marks = Vec::new();
    for missed in [0, 1, 0] {
        let (series, item) = cursors.next().await;
        assert_eq!(matches!(item, Item::Missed(Missed { left: 0, lost: 1 })), missed == 1);
        marks.extend(cursors.mark(&series.unwrap()));
    }
    cursors.go_back(&marks[0]);
    for number in [1, 3] {
        let (_, item) = cursors.next().await;
        assert!(matches!(item, Item::Instance(instance) if instance.number() == Some(number)));
    }
}

#[test]
fn listeners_learn_what_was_lost_before_an_instance() {
    let hub = Hub::new(small(1000));
    let publisher = open(&hub, "2");
    let mut events = hub.events();
    publisher.publish_after(5, instance("2", 6, 10)).unwrap();
    assert!(matches!(events.try_recv(), Ok(HubEvent::Available(_, _, 5))));
}

#[tokio::test]
async fn what_is_wanted_can_change() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let hub = Hub::new(small(1000));
    let (a, b) = (open(&hub, "2"), open(&hub, "3"));
    let wants_second = Arc::new(AtomicBool::new(false));
    let asked = wants_second.clone();
    let mut cursors = Cursors::new(hub.clone(), From::Oldest, move |live| {
        (&**live.series() == "3") == asked.load(Ordering::Relaxed)
    });
    for publisher in [&a, &b] {
        for number in 1..=2 {
            publisher.publish(instance(publisher.series().series(), number, 10)).unwrap();
        }
    }
    let read = async |cursors: &mut Cursors| match cursors.next().await.1 {
        Item::Instance(instance) => instance.identity().sop_instance.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(read(&mut cursors).await, "2.1");
    wants_second.store(true, Ordering::Relaxed);
    cursors.reconsider();
    assert_eq!(read(&mut cursors).await, "3.1");
    assert_eq!(read(&mut cursors).await, "3.2");
}

#[test]
fn the_bound_on_series_holds() {
    let hub = Hub::new(HubSettings { max_series: 1, ..small(1000) });
    let _publisher = open(&hub, "2");
    let full = hub.open(&"1".into(), &"3".into(), || Ok::<_, Infallible>(Dataset::new_empty()));
    assert!(matches!(full, Err(OpenError::Full(1))));
    let _joins = open(&hub, "2");
}

#[test]
fn a_series_that_has_ended_goes_early_when_a_live_one_needs_its_place() {
    let hub = Hub::new(HubSettings { max_series: 2, linger: Duration::ZERO, ..small(1000) });
    let (ended, live) = (open(&hub, "2"), open(&hub, "3"));
    ended.publish(instance("2", 1, 100)).unwrap();
    live.publish(instance("3", 1, 100)).unwrap();
    ended.publish(instance("2", 2, 100)).unwrap();
    ended.complete();
    let third = open(&hub, "4");
    third.publish(instance("4", 1, 100)).unwrap();
    assert!(hub.find("1", "2").is_none() && hub.was_here("1", Some("2")));
    assert_eq!((live.series().len(), third.series().len()), (1, 1));
    assert_eq!((hub.occupancy().bytes, hub.occupancy().instances), (200, 2));
}

/// Publishers and readers on threads of their own: every reader sees each instance at most once
/// and in order, what it missed and what its publisher lost add up, and the budget holds at every look.
#[test]
fn any_interleaving_keeps_the_promises() {
    const COUNT: i32 = 3000;
    let hub = Hub::new(small(20_000));
    let publishers: Vec<_> = ["2", "3", "4"].into_iter().map(|series| (series, open(&hub, series))).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let readers: Vec<_> = publishers
        .iter()
        .flat_map(|(_, publisher)| (0..3).map(|_| Cursor::new(publisher.series().clone(), From::Oldest)))
        .map(|mut cursor| {
            runtime.spawn(async move {
                let (mut seen, mut missed, mut last) = (0u64, 0u64, 0);
                loop {
                    match cursor.next().await {
                        Item::Instance(instance) => {
                            let number = instance.number().unwrap();
                            assert!(number > last, "{number} after {last}");
                            assert_eq!(instance.pixels().len(), 100 + number as usize % 50);
                            (last, seen) = (number, seen + 1);
                        }
                        Item::Missed(all) => missed += all.total(),
                        Item::End(End::Completed) => return seen + missed,
                        Item::End(End::Aborted) => panic!("aborted"),
                    }
                }
            })
        })
        .collect();
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            while hub.series().iter().any(|live| live.end().is_none()) {
                assert!(hub.occupancy().bytes <= 20_000);
                std::thread::yield_now();
            }
        });
        let writers: Vec<_> = publishers
            .into_iter()
            .map(|(series, publisher)| {
                scope.spawn(move || {
                    let mut lost = 0;
                    for number in 1..=COUNT {
                        // The last one is never lost, so that all that was is told.
                        if number % 7 == 0 && number < COUNT {
                            lost += 1;
                            continue;
                        }
                        let instance = instance(series, number, 100 + number as usize % 50);
                        publisher.publish_after(std::mem::take(&mut lost), instance).unwrap();
                    }
                    publisher.complete();
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        hub.reload(HubSettings { linger: Duration::ZERO, ..small(20_000) });
        hub.tick();
        watching.join().unwrap();
    });
    for reader in readers {
        assert_eq!(runtime.block_on(reader).unwrap(), COUNT as u64);
    }
}
