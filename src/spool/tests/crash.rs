//! What an end at any moment, or a disk that is full, leaves behind. A process that can be killed is needed for that:
//! it is this test binary, started again for one test only, and told what to do in variables.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::*;

const FOLDER: &str = "FRAMEGATE_TEST_SPOOL";
const WRITERS: u64 = 3;

/// This binary, to run `test` of this file and no other. `before` stands before it on the command line.
fn again(before: &[&str], test: &str, folder: &Path) -> Command {
    let module = module_path!().split_once("::").unwrap().1;
    let this = env::current_exe().unwrap();
    let mut words: Vec<_> = before.iter().map(|word| (*word).to_owned()).collect();
    words.push(this.into_os_string().into_string().unwrap());
    words.extend([format!("{module}::{test}"), "--exact".to_owned(), "--nocapture".to_owned()]);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env(FOLDER, folder);
    command
}

fn length(id: u64) -> usize {
    (id * 7919 % 200_000) as usize
}

/// Tells the parent something in one piece, which is in the pipe when this returns.
fn tell(what: &str, id: u64) {
    let line = format!("\n{what} {id}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// Is killed while it writes and delivers.
#[test]
fn child_that_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let spool = open(Path::new(&folder));
    let first: u64 = env::var("FIRST").unwrap().parse().unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let spool = &spool;
            scope.spawn(move || {
                for id in (first + writer..).step_by(WRITERS as usize) {
                    put(spool, &id.to_be_bytes(), &content(id, length(id))).unwrap();
                    tell("committed", id);
                }
            });
        }
        // Slower than the writers, so that something is left.
        for turn in 0_u64.. {
            let Some(entry) = spool.next().unwrap() else { continue };
            let id = u64::from_be_bytes(entry.meta().try_into().unwrap());
            assert_eq!(read(&entry).unwrap(), content(id, length(id)));
            match turn % 8 {
                0 => {
                    tell("delivered", id);
                    entry.done().unwrap();
                }
                1 => entry.set_aside(7).unwrap(),
                2 => drop(spool.retry_set_aside()),
                _ => drop(entry),
            }
        }
    });
}

/// Kills the child at some moment, after so many lines of it. Returns what it told.
fn killed(mut child: Child, lines: usize, spins: u32) -> Vec<(String, u64)> {
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    let mut keep = |line: String| {
        if let Some((what, id)) = line.split_once(' ')
            && let (true, Ok(id)) = (["committed", "delivered"].contains(&what), id.parse())
        {
            told.push((what.to_owned(), id));
        }
    };
    out.by_ref().take(lines).for_each(|line| keep(line.unwrap()));
    (0..spins).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had told before is in the pipe.
    out.for_each(|line| keep(line.unwrap()));
    told
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_committed() {
    let folder = folder();
    let (mut owed, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut first = 0;
    for round in 0..30 {
        let mut random = [0; 4];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        let [lines, spins @ ..] = random;
        let (lines, spins) = (usize::from(lines) % 60 + 4, u32::from(spins[0]) * 256);
        let at = format!("round {round}, {lines} lines, {spins} spins");
        let child = again(&[], "child_that_is_killed", folder.path())
            .env("FIRST", first.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let told = killed(child, lines, spins);
        for (what, id) in told {
            first = first.max(id + 1);
            match what.as_str() {
                "committed" => drop(owed.insert(id)),
                _ => drop(seen.insert(id)),
            }
        }
        // What was committed and not told, one of each writer, is not to be used again.
        first += 2 * WRITERS;

        let spool = open(folder.path());
        let stats = spool.stats();
        assert_eq!((stats.lost, stats.locked, stats.writing), (Lost::default(), 0, 0), "{at}");
        assert!(names(folder.path()).iter().all(|name| !name.ends_with(".part")), "{at}");
        if round % 3 == 2 {
            spool.retry_set_aside();
            let mut latest = [None; WRITERS as usize];
            let mut numbers = 0;
            for (number, meta, bytes) in drain(&spool) {
                let id = u64::from_be_bytes(meta.try_into().unwrap());
                assert!(bytes == content(id, length(id)), "{at}: {id} is torn");
                assert!(number > numbers, "{at}");
                numbers = number;
                let of = &mut latest[(id % WRITERS) as usize];
                assert!(Some(id) > *of, "{at}: the order of commits");
                *of = Some(id);
                seen.insert(id);
            }
            let lost: Vec<_> = owed.difference(&seen).collect();
            assert!(lost.is_empty(), "{at}: lost {lost:?}");
            assert_eq!(names(folder.path()), [""; 0], "{at}");
        }
    }
    assert!(owed.len() > 100, "too little happened: {}", owed.len());
}

/// Writes until there is no more room, in a file system of 2 MiB and 24 files.
#[test]
fn child_on_a_full_disk() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let until_full = |spool: &Spool, length: usize| {
        let mut committed = Vec::new();
        loop {
            let id = committed.len() as u64;
            match put(spool, b"", &content(id, length)) {
                Ok(number) => committed.push(number),
                Err(SpoolError::Full(bound)) => return (committed, bound),
                Err(other) => panic!("{other}"),
            }
        }
    };
    for (length, bound) in [(150_000, Bound::KeepFree), (100, Bound::FileSystem)] {
        let spool = open(&folder.join("spool"));
        let (committed, full) = until_full(&spool, length);
        assert_eq!(full, bound);
        assert!(committed.len() > 5, "{committed:?}");
        assert_eq!(names(&folder.join("spool")).len(), committed.len());
        // With one gone, there is room for one.
        spool.next().unwrap().unwrap().done().unwrap();
        let last = put(&spool, b"", &content(0, length)).unwrap();
        drop(spool);
        let spool = open(&folder.join("spool"));
        let out = drain(&spool);
        assert_eq!(out.len(), committed.len());
        for (at, (number, _, bytes)) in out.iter().enumerate() {
            let (of, id) = committed.get(at + 1).map_or((last, 0), |&number| (number, at as u64 + 1));
            assert!((*number, bytes) == (of, &content(id, length)));
        }
    }
    tell("committed", 1);
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=2m,nr_inodes=24 none \"$FRAMEGATE_TEST_SPOOL\"";
    let may = Command::new("unshare").args(["-rm", "sh", "-c", mount]).env(FOLDER, folder.path()).output();
    if !may.is_ok_and(|out| out.status.success()) {
        println!("skipped: file systems of one's own cannot be mounted here");
        return;
    }
    let script = format!("{mount} && exec \"$@\"");
    let out = again(&["unshare", "-rm", "sh", "-c", &script, "sh"], "child_on_a_full_disk", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && text.contains("committed 1"),
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Writes an object that is longer than a file may be.
#[test]
fn child_with_a_limit() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let spool = open(Path::new(&folder));
    put(&spool, b"", &content(1, 20_000)).unwrap();
    let long = put(&spool, b"", &content(2, 1_000_000)).unwrap_err();
    assert!(matches!(long, SpoolError::Full(Bound::FileSystem)), "{long}");
    assert_eq!(spool.stats().full, 1);
    assert_eq!(names(Path::new(&folder)).len(), 1);
    put(&spool, b"", &content(3, 20_000)).unwrap();
    let ids: Vec<_> = drain(&spool).into_iter().map(|(.., bytes)| bytes).collect();
    assert_eq!(ids, [content(1, 20_000), content(3, 20_000)]);
    tell("committed", 1);
}

#[test]
fn a_write_that_the_system_refuses_halfway_is_no_object() {
    let folder = tempfile::tempdir().unwrap();
    // 64 or 128 KiB, as shells differ in their unit.
    let script = "trap '' XFSZ; ulimit -f 128 && exec \"$@\"";
    let out = again(&["sh", "-c", script, "sh"], "child_with_a_limit", folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && text.contains("committed 1"),
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Commits one object.
#[test]
fn child_that_is_watched() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let spool = open(Path::new(&folder));
    put(&spool, b"", &content(1, 100_000)).unwrap();
    tell("committed", 1);
}

/// Power cannot be cut here. But what would be lost then is known from what the system was asked, and when.
#[test]
fn an_object_is_synced_before_its_name_and_its_name_before_it_is_acknowledged() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success())
    {
        println!("skipped: no strace, or it may not trace");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log").into_os_string().into_string().unwrap();
    let strace =
        ["strace", "-f", "-qq", "-e", "trace=openat,write,fsync,fdatasync,renameat,renameat2", "-o", &log];
    let out = again(&strace, "child_that_is_watched", &folder.path().join("spool")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let log = fs::read_to_string(log).unwrap();
    let calls: Vec<_> = log.lines().skip_while(|line| !line.contains(".part\"")).collect();
    let file = calls[0].rsplit(' ').next().unwrap();
    let renaming = calls.iter().find(|line| line.contains("renameat")).unwrap();
    let directory = renaming.split(['(', ',']).nth(1).unwrap();
    let written = calls.iter().rposition(|line| line.contains(&format!("write({file}, "))).unwrap();
    let mut rest = calls[written + 1..].iter();
    for call in [&format!("fsync({file})"), "renameat", &format!("fsync({directory})"), "committed 1"] {
        assert!(rest.any(|line| line.contains(call)), "{call} is not in its place:\n{}", calls.join("\n"));
    }
}
