//! Nothing that was altered is ever given out whole, and nothing of it holds up what was not.

use super::*;

const FIRST: &str = "00000000000000000001.object";
const SECOND: &str = "00000000000000000002.object";

/// The file of an object of `length` bytes.
fn file(length: usize) -> Vec<u8> {
    let folder = folder();
    let spool = open(folder.path());
    put(&spool, b"meta data", &content(1, length)).unwrap();
    fs::read(folder.path().join(FIRST)).unwrap()
}

/// Offers `bytes` as the first object, with a good one behind it. Returns the statistics after draining.
fn offered(bytes: &[u8]) -> Stats {
    let folder = folder();
    let spool = open(folder.path());
    assert_eq!(put(&spool, b"", b"1").unwrap(), 1);
    assert_eq!(put(&spool, b"", b"2").unwrap(), 2);
    drop(spool);
    fs::write(folder.path().join(FIRST), bytes).unwrap();
    let spool = open(folder.path());
    let out = drain(&spool);
    assert_eq!(out.len(), 1, "an altered object was given out");
    assert_eq!(out[0].2, b"2");
    let stats = spool.stats();
    assert_eq!(stats.lost.damaged + stats.locked as u64, 1);
    assert_eq!(names(folder.path()).len(), stats.locked, "it is removed");
    assert_eq!(stats.bytes == 0, stats.locked == 0);
    stats
}

#[test]
fn every_flipped_bit_is_found() {
    let good = file(40);
    for at in 0..good.len() {
        for bit in [0, 7] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let locked = offered(&bad).locked;
            // Of another version, or another key, as far as one can see.
            assert_eq!(locked == 1, at == 7 || (16..32).contains(&at), "byte {at}");
        }
    }
}

#[test]
fn the_kind_of_key_cannot_be_changed() {
    let mut bad = file(40);
    assert_eq!(std::mem::replace(&mut bad[8], b'T'), b'S');
    assert_eq!(offered(&bad).lost.damaged, 1);
}

#[test]
fn a_flipped_bit_in_a_long_object_is_found() {
    let good = file(200_000);
    for at in (0..good.len()).step_by(9973).chain(good.len() - 41..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        if at != 7 && !(16..32).contains(&at) {
            assert_eq!(offered(&bad).lost.damaged, 1, "byte {at}");
        }
    }
}

#[test]
fn every_truncation_and_extension_is_found() {
    let good = file(40);
    for length in 0..good.len() {
        assert_eq!(offered(&good[..length]).lost.damaged, 1, "{length} bytes");
    }
    let long = file(140_000);
    let start = 64 + 9 + 16;
    for chunks in 0..=2 {
        // Whole chunks are missing at the end, or before the last one.
        let cut = start + chunks * (65_536 + 16);
        assert_eq!(offered(&long[..cut]).lost.damaged, 1);
        let end = &long[long.len() - 24..];
        assert_eq!(offered(&[&long[..cut], end].concat()).lost.damaged, 1);
    }
    for more in [&[0][..], &[0; 65_552], &long[start..start + 65_552]] {
        assert_eq!(offered(&[&long, more].concat()).lost.damaged, 1);
    }
}

#[test]
fn a_last_chunk_is_no_other_one() {
    // The object's own end looks as that of the file would, if the file ended there.
    let bytes = [&content(1, 65_536)[..], &1_u64.to_be_bytes()].concat();
    let folder = folder();
    assert_eq!(put(&open(folder.path()), b"", &bytes).unwrap(), 1);
    let good = fs::read(folder.path().join(FIRST)).unwrap();
    assert_eq!(offered(&good[..good.len() - 24]).lost.damaged, 1);
}

#[test]
fn chunks_in_another_order_are_found() {
    let good = file(200_000);
    let start = 64 + 9 + 16;
    let chunk = |at: usize| &good[start + at * 65_552..start + (at + 1) * 65_552];
    let end = &good[start + 2 * 65_552..];
    let bad = [&good[..start], chunk(1), chunk(0), end].concat();
    assert_eq!(bad.len(), good.len());
    assert_eq!(offered(&bad).lost.damaged, 1);
    let bad = [&good[..start], chunk(0), chunk(0), end].concat();
    assert_eq!(offered(&bad).lost.damaged, 1);
}

#[test]
fn exchanged_files_are_found() {
    let folder = folder();
    let spool = open(folder.path());
    put(&spool, b"", b"one").unwrap();
    put(&spool, b"", b"two").unwrap();
    put(&spool, b"", b"three").unwrap();
    drop(spool);
    let at = |name| folder.path().join(name);
    fs::rename(at(FIRST), at("other")).unwrap();
    fs::rename(at(SECOND), at(FIRST)).unwrap();
    fs::rename(at("other"), at(SECOND)).unwrap();
    let spool = open(folder.path());
    let out = drain(&spool);
    assert_eq!((out.len(), out[0].2.as_slice()), (1, &b"three"[..]));
    assert_eq!(spool.stats().lost.damaged, 2);
}

#[test]
fn what_is_found_damaged_while_it_is_read_is_removed_with_its_entry() {
    for aside in [false, true] {
        let folder = folder();
        let spool = open(folder.path());
        put(&spool, b"", &content(1, 150_000)).unwrap();
        let path = folder.path().join(FIRST);
        let mut bytes = fs::read(&path).unwrap();
        bytes[100_000] ^= 1;
        fs::write(&path, bytes).unwrap();
        let entry = spool.next().unwrap().expect("its ends are whole");
        let mut reader = entry.read();
        assert_eq!(reader.chunk().unwrap().unwrap(), &content(1, 150_000)[..65_536]);
        assert!(matches!(reader.chunk(), Err(ReadError::Damaged)));
        assert!(matches!(reader.chunk(), Err(ReadError::Damaged)), "nothing is skipped");
        if aside {
            entry.set_aside(3).unwrap();
        } else {
            drop(entry);
        }
        let lost = Lost { damaged: 1, ..Lost::default() };
        assert_eq!(spool.stats(), Stats { committed: 1, lost, ..Stats::default() });
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn a_file_that_somebody_removed_holds_up_nothing() {
    let folder = folder();
    let spool = open(folder.path());
    put(&spool, b"", b"one").unwrap();
    put(&spool, b"", b"two").unwrap();
    fs::remove_file(folder.path().join(FIRST)).unwrap();
    assert_eq!(drain(&spool).len(), 1);
    assert_eq!((spool.stats().lost.damaged, spool.stats().bytes), (1, 0));
}
