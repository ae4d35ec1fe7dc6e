//! Random sequences of everything that can be done, against a list.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Begin { meta: usize },
    Write { writer: usize, length: usize },
    Commit { writer: usize },
    Abandon { writer: usize },
    Next,
    Done { entry: usize },
    SetAside { entry: usize, reason: u16 },
    GiveBack { entry: usize },
    Retry,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..200_usize).prop_map(|meta| Step::Begin { meta }),
        4 => (0..4_usize, 0..150_000_usize).prop_map(|(writer, length)| Step::Write { writer, length }),
        3 => (0..4_usize).prop_map(|writer| Step::Commit { writer }),
        1 => (0..4_usize).prop_map(|writer| Step::Abandon { writer }),
        4 => Just(Step::Next),
        2 => (0..4_usize).prop_map(|entry| Step::Done { entry }),
        1 => (0..4_usize, any::<u16>()).prop_map(|(entry, reason)| Step::SetAside { entry, reason }),
        1 => (0..4_usize).prop_map(|entry| Step::GiveBack { entry }),
        1 => Just(Step::Retry),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Waiting,
    Taken,
    Aside(u16),
}

struct Object {
    number: u64,
    meta: Vec<u8>,
    content: Vec<u8>,
    state: State,
}

struct Unfinished {
    writer: Writer,
    meta: Vec<u8>,
    content: Vec<u8>,
}

/// What a file counts for.
fn charge(meta: usize, content: usize, finished: bool) -> u64 {
    let chunks = if finished { content.div_ceil(65_536) } else { content / 65_536 };
    let content = if finished { content } else { chunks * 65_536 };
    let end = if finished { 24 } else { 0 };
    ((64 + meta + 16 + content + chunks * 16 + end) as u64).div_ceil(4096) * 4096
}

const BOUNDS: Bounds = Bounds { max_bytes: 1_000_000, max_objects: 6, ..WIDE };

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_spool_does_what_a_list_does(steps in prop::collection::vec(step(), 1..80)) {
        let folder = folder();
        let open = || Spool::open(folder.path(), sealed(), BOUNDS, || {}).unwrap();
        let mut spool = Some(open());
        let mut objects: Vec<Object> = Vec::new();
        let mut writers: Vec<Unfinished> = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        let mut seed = 0;
        for step in steps {
            let now = spool.as_ref().unwrap();
            let bytes = |writers: &[Unfinished], objects: &[Object]| -> u64 {
                let written = writers.iter().map(|of| charge(of.meta.len(), of.content.len(), false));
                let kept = objects.iter().map(|of| charge(of.meta.len(), of.content.len(), true));
                written.chain(kept).sum()
            };
            match step {
                Step::Begin { meta } => {
                    seed += 1;
                    let meta = content(seed, meta);
                    let fits = bytes(&writers, &objects) + charge(meta.len(), 0, false) <= BOUNDS.max_bytes;
                    match now.begin(&meta) {
                        Ok(writer) => {
                            prop_assert!(fits && objects.len() + writers.len() < BOUNDS.max_objects);
                            writers.push(Unfinished { writer, meta, content: Vec::new() });
                        }
                        Err(SpoolError::Full(Bound::Objects)) => {
                            prop_assert_eq!(objects.len() + writers.len(), BOUNDS.max_objects);
                        }
                        Err(SpoolError::Full(Bound::Bytes)) => prop_assert!(!fits),
                        Err(other) => panic!("{other}"),
                    }
                }
                Step::Write { writer, length } if writer < writers.len() => {
                    seed += 1;
                    let more = content(seed, length);
                    let of = &mut writers[writer];
                    let result = of.writer.write(&more);
                    of.content.extend_from_slice(&more);
                    let fits = bytes(&writers, &objects) <= BOUNDS.max_bytes;
                    prop_assert_eq!(result.is_ok(), fits, "{:?}", result);
                    if !fits {
                        prop_assert!(matches!(result, Err(SpoolError::Full(Bound::Bytes))));
                        let of = writers.swap_remove(writer);
                        prop_assert!(matches!(of.writer.commit(), Err(SpoolError::Failed)));
                    }
                }
                Step::Commit { writer } if writer < writers.len() => {
                    let Unfinished { writer, meta, content } = writers.swap_remove(writer);
                    let fits = bytes(&writers, &objects) + charge(meta.len(), content.len(), true)
                        <= BOUNDS.max_bytes;
                    match writer.commit() {
                        Ok(number) => {
                            prop_assert!(fits);
                            prop_assert!(objects.iter().all(|object| object.number < number));
                            objects.push(Object { number, meta, content, state: State::Waiting });
                        }
                        Err(SpoolError::Full(Bound::Bytes)) => prop_assert!(!fits),
                        Err(other) => panic!("{other}"),
                    }
                }
                Step::Abandon { writer } if writer < writers.len() => drop(writers.swap_remove(writer)),
                Step::Next => {
                    let expected = objects.iter_mut().find(|object| object.state == State::Waiting);
                    let entry = now.next().unwrap();
                    prop_assert_eq!(entry.as_ref().map(Entry::number), expected.as_ref().map(|of| of.number));
                    if let (Some(entry), Some(expected)) = (entry, expected) {
                        prop_assert_eq!(entry.meta(), &expected.meta[..]);
                        prop_assert!(read(&entry).unwrap() == expected.content);
                        expected.state = State::Taken;
                        entries.push(entry);
                    }
                }
                Step::Done { entry } if entry < entries.len() => {
                    let entry = entries.swap_remove(entry);
                    objects.retain(|object| object.number != entry.number());
                    entry.done().unwrap();
                }
                Step::SetAside { entry, reason } if entry < entries.len() => {
                    let entry = entries.swap_remove(entry);
                    let number = entry.number();
                    objects.iter_mut().find(|of| of.number == number).unwrap().state = State::Aside(reason);
                    entry.set_aside(reason).unwrap();
                }
                Step::GiveBack { entry } if entry < entries.len() => {
                    let entry = entries.swap_remove(entry);
                    let number = entry.number();
                    objects.iter_mut().find(|of| of.number == number).unwrap().state = State::Waiting;
                }
                Step::Retry => {
                    let mut count = 0;
                    for object in objects.iter_mut().filter(|of| matches!(of.state, State::Aside(_))) {
                        object.state = State::Waiting;
                        count += 1;
                    }
                    prop_assert_eq!(now.retry_set_aside(), count);
                }
                Step::Reopen => {
                    // All that is not committed is gone; all that is not done is there.
                    writers.clear();
                    entries.clear();
                    for object in objects.iter_mut().filter(|of| of.state == State::Taken) {
                        object.state = State::Waiting;
                    }
                    drop(spool.take());
                    spool = Some(open());
                }
                _ => {}
            }
            let now = spool.as_ref().unwrap();
            let aside: Vec<_> = now.set_aside(99).iter().map(|of| (of.number, State::Aside(of.reason))).collect();
            let expected: Vec<_> = objects
                .iter()
                .filter(|of| matches!(of.state, State::Aside(_)))
                .map(|of| (of.number, of.state.clone()))
                .collect();
            prop_assert_eq!(&aside, &expected);
            let stats = now.stats();
            prop_assert_eq!(stats.bytes, bytes(&writers, &objects));
            prop_assert_eq!(stats.objects + stats.set_aside, objects.len());
            prop_assert_eq!((stats.set_aside, stats.writing), (expected.len(), writers.len()));
            prop_assert_eq!((stats.lost, stats.locked), (Lost::default(), 0));
            prop_assert_eq!(names(folder.path()).len(), objects.len() + writers.len());
        }
    }
}
