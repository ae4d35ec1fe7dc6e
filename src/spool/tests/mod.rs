//! The spool as its users see it, on a real directory.

mod bounds;
mod crash;
mod model;
mod tampering;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

const WIDE: Bounds = Bounds {
    max_bytes: 1 << 30,
    max_objects: 100_000,
    max_age: Duration::from_secs(3600),
    keep_free: KeepFree::Bytes(0),
};

/// In memory where there is a tmpfs, since these tests sync much.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn sealed() -> Key {
    Key::new(&[7; 32], true).unwrap()
}

fn open(path: &Path) -> Spool {
    Spool::open(path, sealed(), WIDE, || {}).unwrap()
}

/// Bytes that differ by object and place, with a period that no chunk has.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let line: Vec<u8> = (0..997_u64).map(|at| (seed.wrapping_mul(31) ^ at ^ (at >> 8)) as u8).collect();
    let mut content = line.repeat(length / line.len() + 1);
    content.truncate(length);
    content
}

fn put(spool: &Spool, meta: &[u8], content: &[u8]) -> Result<u64, SpoolError> {
    let mut writer = spool.begin(meta)?;
    for piece in content.chunks(10_007) {
        writer.write(piece)?;
    }
    writer.commit()
}

fn read(entry: &Entry) -> Result<Vec<u8>, ReadError> {
    let (mut reader, mut content) = (entry.read(), Vec::new());
    while let Some(chunk) = reader.chunk()? {
        assert!(!chunk.is_empty());
        content.extend_from_slice(chunk);
    }
    assert!(reader.chunk()?.is_none(), "the end stays the end");
    Ok(content)
}

/// Everything that can be delivered, with its number and meta data.
fn drain(spool: &Spool) -> Vec<(u64, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(entry) = spool.next().unwrap() {
        if let Ok(content) = read(&entry) {
            assert_eq!(content.len() as u64, entry.size());
            all.push((entry.number(), entry.meta().to_vec(), content));
            entry.done().unwrap();
        }
    }
    all
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_went_in_comes_out_in_order() {
    let folder = folder();
    let spool = open(folder.path());
    let lengths = [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000];
    for (at, length) in lengths.into_iter().enumerate() {
        let meta = content(99, at * 10_000);
        assert_eq!(put(&spool, &meta, &content(at as u64, length)).unwrap(), at as u64 + 1);
    }
    drop(spool);
    let spool = open(folder.path());
    assert_eq!(spool.stats().objects, lengths.len());
    let out = drain(&spool);
    assert_eq!(out.len(), lengths.len());
    for ((number, meta, bytes), (at, length)) in out.into_iter().zip(lengths.into_iter().enumerate()) {
        assert_eq!(number, at as u64 + 1);
        assert_eq!(meta, content(99, at * 10_000));
        assert_eq!(bytes, content(at as u64, length));
    }
    assert_eq!(names(folder.path()), [""; 0]);
    assert_eq!(Stats { committed: 0, delivered: 7, ..Stats::default() }, spool.stats());
}

#[test]
fn neither_names_nor_files_tell_what_is_in_them() {
    let folder = folder();
    let spool = open(folder.path());
    let secret = b"DOE^JANE 1.2.840.99999.7";
    put(&spool, secret, &secret.repeat(5000)).unwrap();
    assert_eq!(names(folder.path()), ["00000000000000000001.object"]);
    let bytes = fs::read(folder.path().join("00000000000000000001.object")).unwrap();
    assert!(!bytes.windows(8).any(|window| secret.windows(8).any(|part| part == window)));
    // Nor is there anything alike in two files of the same content, the beginning excepted.
    put(&spool, secret, &secret.repeat(5000)).unwrap();
    let other = fs::read(folder.path().join("00000000000000000002.object")).unwrap();
    let same = bytes.iter().zip(&other).skip(32).filter(|(a, b)| a == b).count();
    assert!(same < bytes.len() / 128, "{same} of {} bytes are the same", bytes.len());
}

#[test]
fn what_is_not_committed_leaves_no_trace() {
    let folder = folder();
    let spool = open(folder.path());
    let mut writer = spool.begin(b"meta").unwrap();
    writer.write(&content(1, 200_000)).unwrap();
    assert_eq!(names(folder.path()), ["00000000000000000000.part"]);
    assert_eq!((spool.stats().writing, spool.stats().objects), (1, 0));
    assert!(spool.stats().bytes > 100_000);
    assert!(spool.next().unwrap().is_none());
    drop(writer);
    assert_eq!(names(folder.path()), [""; 0]);
    assert_eq!(spool.stats(), Stats::default());

    fs::write(folder.path().join("00000000000000000077.part"), "left by a crash").unwrap();
    drop(spool);
    let spool = open(folder.path());
    assert_eq!(names(folder.path()), [""; 0]);
    assert_eq!(spool.stats(), Stats::default());
}

#[test]
fn an_entry_that_is_dropped_keeps_its_place() {
    let folder = folder();
    let spool = open(folder.path());
    for number in 1..=3 {
        put(&spool, b"", &[number]).unwrap();
    }
    let first = spool.next().unwrap().unwrap();
    let second = spool.next().unwrap().unwrap();
    assert_eq!((first.number(), second.number()), (1, 2));
    assert_eq!(spool.stats().objects, 3);
    second.done().unwrap();
    drop(first);
    let order: Vec<_> = drain(&spool).into_iter().map(|(number, ..)| number).collect();
    assert_eq!(order, [1, 3]);
}

#[test]
fn what_is_set_aside_is_kept_and_listed_and_can_be_retried() {
    let folder = folder();
    let spool = open(folder.path());
    for number in 1..=3 {
        put(&spool, b"meta", &[number]).unwrap();
    }
    let bytes = spool.stats().bytes;
    spool.next().unwrap().unwrap().set_aside(0xa900).unwrap();
    let first = spool.next().unwrap().unwrap();
    assert_eq!(first.number(), 2);
    drop(first);
    for reopened in [false, true] {
        let spool = if reopened { open(folder.path()) } else { spool.clone() };
        let aside = spool.set_aside(10);
        assert_eq!((aside.len(), aside[0].number, aside[0].reason), (1, 1, 0xa900));
        assert!(spool.set_aside(0).is_empty());
        let stats = spool.stats();
        assert_eq!((stats.objects, stats.set_aside, stats.bytes), (2, 1, bytes));
        assert_eq!(names(folder.path())[0], "00000000000000000001.aside-a900");
        if !reopened {
            break;
        }
    }
    drop(spool);

    let woken = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&woken);
    let wake = move || {
        seen.fetch_add(1, Ordering::Relaxed);
    };
    let spool = Spool::open(folder.path(), sealed(), WIDE, wake).unwrap();
    assert_eq!(spool.set_aside(10)[0].reason, 0xa900);
    assert_eq!(spool.retry_set_aside(), 1);
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    assert_eq!(spool.retry_set_aside(), 0);
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    let order: Vec<_> = drain(&spool).into_iter().map(|(number, ..)| number).collect();
    assert_eq!(order, [1, 2, 3], "it is back in its old place");
    assert_eq!(spool.stats(), Stats { delivered: 3, ..Stats::default() });
}

#[test]
fn a_transient_key_that_is_gone_takes_its_objects_with_it() {
    let folder = folder();
    let transient = |byte| Key::new(&[byte; 32], false).unwrap();
    let spool = Spool::open(folder.path(), transient(1), WIDE, || {}).unwrap();
    for number in 1..=3 {
        put(&spool, b"", &[number]).unwrap();
    }
    spool.next().unwrap().unwrap().set_aside(1).unwrap();
    drop(spool);
    let spool = Spool::open(folder.path(), transient(1), WIDE, || {}).unwrap();
    assert_eq!((spool.stats().objects, spool.stats().lost), (2, Lost::default()));
    drop(spool);

    let spool = Spool::open(folder.path(), transient(2), WIDE, || {}).unwrap();
    assert_eq!(spool.stats(), Stats { lost: Lost { without_key: 3, ..Lost::default() }, ..Stats::default() });
    assert_eq!(names(folder.path()), [""; 0]);
    assert_eq!(put(&spool, b"", b"new").unwrap(), 4, "no number is given twice");
    assert_eq!(drain(&spool).len(), 1);
}

#[test]
fn another_sealed_key_locks_what_it_cannot_read_until_the_right_one_is_back() {
    let folder = folder();
    let spool = open(folder.path());
    put(&spool, b"", b"one").unwrap();
    put(&spool, b"", b"two").unwrap();
    spool.next().unwrap().unwrap().set_aside(5).unwrap();
    let before = spool.stats().bytes;
    drop(spool);

    let wrong = || Key::new(&[8; 32], true).unwrap();
    let spool = Spool::open(folder.path(), wrong(), WIDE, || {}).unwrap();
    let stats = spool.stats();
    assert_eq!((stats.locked, stats.set_aside, stats.objects, stats.bytes), (2, 0, 0, before));
    assert_eq!((spool.retry_set_aside(), spool.set_aside(9).len()), (0, 0));
    assert_eq!(stats.lost, Lost::default());
    put(&spool, b"", b"three").unwrap();
    assert_eq!(drain(&spool).len(), 1, "it delays nothing");
    drop(spool);

    let spool = open(folder.path());
    assert_eq!((spool.stats().objects, spool.stats().set_aside, spool.stats().locked), (1, 1, 0));
    spool.retry_set_aside();
    assert_eq!(drain(&spool).len(), 2);
    put(&spool, b"", b"four").unwrap();
    put(&spool, b"", b"five").unwrap();
    spool.next().unwrap().unwrap().set_aside(5).unwrap();
    drop(spool);

    // It does not stay for ever.
    let spool = Spool::open(folder.path(), wrong(), WIDE, || {}).unwrap();
    spool.0.expire(Instant::now() + WIDE.max_age);
    assert_eq!(spool.stats(), Stats { lost: Lost { expired: 2, ..Lost::default() }, ..Stats::default() });
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_second_owner_is_refused_until_the_first_has_ended() {
    let folder = folder();
    let spool = open(folder.path());
    put(&spool, b"", b"object").unwrap();
    let entry = spool.next().unwrap().unwrap();
    let again = || Spool::open(folder.path(), sealed(), WIDE, || {});
    assert!(matches!(again(), Err(OpenError::InUse { .. })));
    drop(spool);
    assert!(matches!(again(), Err(OpenError::InUse { .. })), "somebody still delivers");
    drop(entry);
    assert_eq!(drain(&again().unwrap()).len(), 1);
}

#[test]
fn many_write_while_one_drains() {
    const WRITERS: u64 = 6;
    const EACH: u64 = 40;
    let folder = folder();
    let bell = Arc::new((Mutex::new(0_u64), Condvar::new()));
    let ring = Arc::clone(&bell);
    let wake = move || {
        *ring.0.lock().unwrap() += 1;
        ring.1.notify_one();
    };
    let spool = Spool::open(folder.path(), sealed(), WIDE, wake).unwrap();
    let mut latest = BTreeMap::new();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let spool = spool.clone();
            scope.spawn(move || {
                for at in 0..EACH {
                    let bytes = content(writer * EACH + at, (at * 4001 % 150_000) as usize);
                    put(&spool, &[writer as u8, at as u8], &bytes).unwrap();
                }
            });
        }
        let mut drained = 0;
        let mut heard = 0;
        while drained < WRITERS * EACH {
            // As many calls as there were objects: none comes without one.
            let rings = bell.0.lock().unwrap();
            let patience = Duration::from_secs(60);
            let (rings, late) = bell.1.wait_timeout_while(rings, patience, |rings| *rings == heard).unwrap();
            assert!(!late.timed_out(), "nobody said that there was more than {drained}");
            heard = *rings;
            drop(rings);
            for (_, meta, bytes) in drain(&spool) {
                let [writer, at] = meta[..] else { panic!("meta data of another object") };
                let (writer, at) = (u64::from(writer), u64::from(at));
                assert_eq!(bytes, content(writer * EACH + at, (at * 4001 % 150_000) as usize));
                let before = latest.insert(writer, at);
                assert_eq!(at, before.map_or(0, |before| before + 1), "in the order of commits");
                drained += 1;
            }
        }
    });
    assert_eq!(spool.stats().committed, WRITERS * EACH);
    assert_eq!((spool.stats().bytes, spool.stats().objects), (0, 0));
}
