//! What does not fit is refused, and takes nothing from what is there.

use std::fs::File;

use super::*;

fn bounded(folder: &TempDir, bounds: Bounds) -> Spool {
    Spool::open(folder.path(), sealed(), bounds, || {}).unwrap()
}

fn full(result: Result<u64, SpoolError>) -> Bound {
    match result {
        Err(SpoolError::Full(bound)) => bound,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_are_bounded_those_being_written_included() {
    let folder = folder();
    // Room for 300 000 bytes and a little.
    let spool = bounded(&folder, Bounds { max_bytes: 75 * 4096, ..WIDE });
    put(&spool, b"", &content(1, 100_000)).unwrap();
    let mut writer = spool.begin(b"").unwrap();
    writer.write(&content(2, 131_072)).unwrap();
    assert_eq!(full(put(&spool, b"", &content(3, 100_000))), Bound::Bytes);
    assert_eq!(spool.stats().full, 1);
    let two = writer.commit().unwrap();
    assert_eq!(full(put(&spool, b"", &content(3, 100_000))), Bound::Bytes);
    assert_eq!(spool.stats().full, 2);
    let bytes = spool.stats().bytes;
    let on_disk: u64 = names(folder.path())
        .iter()
        .map(|name| fs::metadata(folder.path().join(name)).unwrap().len().div_ceil(4096) * 4096)
        .sum();
    assert_eq!(bytes, on_disk);

    spool.next().unwrap().unwrap().done().unwrap();
    put(&spool, b"", &content(3, 100_000)).unwrap();
    let out = drain(&spool);
    assert_eq!(out[0], (two, vec![], content(2, 131_072)));
    assert_eq!(out[1].2, content(3, 100_000));
    assert_eq!(spool.stats().bytes, 0);
}

#[test]
fn what_failed_in_between_cannot_be_committed() {
    let folder = folder();
    let spool = bounded(&folder, Bounds { max_bytes: 20 * 4096, ..WIDE });
    let mut writer = spool.begin(b"").unwrap();
    let failed = writer.write(&content(1, 200_000)).unwrap_err();
    assert!(matches!(failed, SpoolError::Full(Bound::Bytes)), "{failed}");
    // Room comes back, but a chunk is missing.
    let again = writer.write(&content(1, 200_000)).unwrap_err();
    assert!(matches!(again, SpoolError::Failed), "{again}");
    assert!(matches!(writer.commit(), Err(SpoolError::Failed)));
    assert_eq!(names(folder.path()), [""; 0]);
    assert_eq!(spool.stats(), Stats { full: 1, ..Stats::default() });
}

#[test]
fn objects_are_bounded_in_every_state() {
    let folder = folder();
    let spool = bounded(&folder, Bounds { max_objects: 3, ..WIDE });
    put(&spool, b"", b"1").unwrap();
    spool.next().unwrap().unwrap().set_aside(1).unwrap();
    put(&spool, b"", b"2").unwrap();
    let taken = spool.next().unwrap().unwrap();
    let writer = spool.begin(b"").unwrap();
    assert_eq!(full(put(&spool, b"", b"4")), Bound::Objects);
    drop(writer);
    put(&spool, b"", b"3").unwrap();
    assert_eq!(full(put(&spool, b"", b"4")), Bound::Objects);
    taken.done().unwrap();
    put(&spool, b"", b"4").unwrap();
}

#[test]
fn meta_data_is_bounded() {
    let folder = folder();
    let spool = open(folder.path());
    put(&spool, &vec![1; MAX_META], b"").unwrap();
    let long = put(&spool, &vec![1; MAX_META + 1], b"").unwrap_err();
    assert_eq!(long.to_string(), "65537 bytes of meta data, at most 65536 are taken");
    assert_eq!(drain(&spool)[0].1.len(), MAX_META);
}

#[test]
fn space_is_left_to_others() {
    let folder = folder();
    assert_eq!(KeepFree::Percent(5).of(1000), 50);
    for keep_free in [KeepFree::Percent(100), KeepFree::Bytes(u64::MAX)] {
        let spool = bounded(&folder, Bounds { keep_free, ..WIDE });
        assert_eq!(full(put(&spool, b"", b"")), Bound::KeepFree);
        assert_eq!(spool.stats().full, 1);
    }
    let spool = bounded(&folder, Bounds { keep_free: KeepFree::Bytes(4096), ..WIDE });
    put(&spool, b"", b"").unwrap();
}

#[test]
fn bounds_that_were_lowered_refuse_new_objects_and_keep_old_ones() {
    let folder = folder();
    let spool = open(folder.path());
    put(&spool, b"", &content(1, 100_000)).unwrap();
    put(&spool, b"", &content(2, 100_000)).unwrap();
    drop(spool);
    let spool = bounded(&folder, Bounds { max_bytes: 50_000, max_objects: 1, ..WIDE });
    assert_eq!(spool.stats().objects, 2);
    assert_eq!(full(put(&spool, b"", b"3")), Bound::Objects);
    assert_eq!(drain(&spool).len(), 2);
    put(&spool, b"", b"3").unwrap();
}

#[test]
fn what_is_too_old_is_removed_unless_it_is_being_delivered() {
    let folder = folder();
    let spool = open(folder.path());
    for number in 1..=3 {
        put(&spool, b"", &[number]).unwrap();
    }
    spool.next().unwrap().unwrap().set_aside(9).unwrap();
    let taken = spool.next().unwrap().unwrap();
    let later = Instant::now() + WIDE.max_age;
    spool.0.expire(later - Duration::from_secs(60));
    assert_eq!(spool.stats().lost.expired, 0);
    spool.0.expire(later);
    assert_eq!(spool.stats().lost.expired, 2);
    assert_eq!(names(folder.path()), ["00000000000000000002.object"]);
    assert_eq!(read(&taken).unwrap(), [2]);
    drop(taken);
    spool.0.expire(later);
    assert_eq!(
        spool.stats(),
        Stats { committed: 3, lost: Lost { expired: 3, ..Lost::default() }, ..Stats::default() }
    );
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn age_goes_on_over_a_restart_but_for_clocks_that_were_not_set() {
    let folder = folder();
    let spool = open(folder.path());
    for number in 1..=5 {
        put(&spool, b"", &[number]).unwrap();
    }
    drop(spool);
    let now = SystemTime::now();
    let stamp = |number: u64, time| {
        let file = File::options().write(true).open(folder.path().join(Name::Object(number).to_string()));
        file.unwrap().set_modified(time).unwrap();
    };
    stamp(1, now - Duration::from_secs(3500));
    stamp(2, now - Duration::from_secs(3700));
    stamp(3, SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
    stamp(4, now + Duration::from_secs(1_000_000));
    let spool = open(folder.path());
    assert_eq!(spool.stats().lost.expired, 1);
    let oldest = spool.stats().oldest.unwrap();
    assert!((3500..3600).contains(&oldest.as_secs()), "{oldest:?}");
    spool.0.expire(Instant::now() + Duration::from_secs(200));
    assert_eq!(spool.stats().lost.expired, 2);
    let left: Vec<_> = drain(&spool).into_iter().map(|(number, ..)| number).collect();
    assert_eq!(left, [3, 4, 5]);
}

#[test]
fn an_age_beyond_all_clocks_is_none() {
    let folder = folder();
    let spool = bounded(&folder, Bounds { max_age: Duration::MAX, ..WIDE });
    put(&spool, b"", b"").unwrap();
    spool.0.expire(Instant::now() + Duration::from_secs(1 << 32));
    assert_eq!(drain(&spool).len(), 1);
}
