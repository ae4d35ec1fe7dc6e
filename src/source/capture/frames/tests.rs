use std::time::Duration;

use super::*;
use crate::config::profile::{NoSignal, Profiles, Splash};
use crate::config::settings::{Compression, HubSettings, PixelChoice};
use crate::context::desk::Desk;
use crate::context::{Equipment, Order, Patient};
use crate::frame::transcode::to_explicit_little_endian;
use crate::frame::video::{Field, Fields, Matrix, Range, VideoFormat};
use crate::hub::{Cursor, From, Hub, Item};
use crate::instance::Instance;
use crate::source::capture::counters::CaptureCounters;

const WIDTH: usize = 16;
const HEIGHT: usize = 8;

/// A picture of one grey, as a driver would hand it over.
#[derive(Clone)]
struct Drawn {
    sequence: u32,
    bytes: Vec<u8>,
    age: Duration,
    corrupt: bool,
}

fn drawn(sequence: u32, grey: u8) -> Drawn {
    Drawn { sequence, bytes: vec![grey; WIDTH * HEIGHT], age: Duration::ZERO, corrupt: false }
}

impl Picture for Drawn {
    fn planes(&self) -> SmallVec<[&[u8]; 3]> {
        SmallVec::from_iter([self.bytes.as_slice()])
    }

    fn sequence(&self) -> u32 {
        self.sequence
    }

    fn stamp(&self) -> Duration {
        Reading::now().monotonic.saturating_sub(self.age)
    }

    fn stamp_kind(&self) -> StampKind {
        StampKind::StartOfFrame
    }

    fn field(&self) -> Field {
        Field::Both
    }

    fn corrupt(&self) -> bool {
        self.corrupt
    }

    fn take(&mut self, _: usize) -> Option<Bytes> {
        None
    }
}

struct Room {
    frames: Frames,
    hub: Hub,
    desk: Desk,
    profile: CaptureProfile,
    metrics: prometheus_client::registry::Registry,
}

impl Room {
    fn new(change: impl FnOnce(&mut CaptureSettings, &mut CaptureProfile)) -> Self {
        let mut settings = CaptureSettings { pixels: PixelChoice::Grey, ..CaptureSettings::default() };
        let mut profile = Profiles::load(None).unwrap().capture("generic-v4l2").unwrap().clone();
        change(&mut settings, &mut profile);
        let hub = Hub::new(HubSettings::default());
        let desk = Desk::new(["room".to_owned()]);
        let encounter =
            Encounter::new("room", &settings, Equipment::framegate("", ""), hub.clone(), desk.clone());
        let all = CaptureCounters::default();
        let mut metrics = prometheus_client::registry::Registry::default();
        all.register(&mut metrics);
        let clock = Arc::new(ArcSwap::from_pointee(ClockState::Unknown));
        let frames = Frames::new("room", &settings, all.of("room"), clock, encounter);
        let mut room = Self { frames, hub, desk, profile, metrics };
        room.begin();
        room
    }

    fn begin(&mut self) {
        let video = VideoDescription {
            format: VideoFormat::Grey,
            width: WIDTH as u32,
            height: HEIGHT as u32,
            strides: vec![WIDTH as u32],
            sizes: vec![(WIDTH * HEIGHT) as u32],
            matrix: Matrix::Bt601,
            range: Range::Full,
            fields: Fields::Progressive,
            frame_rate: Some(25.0),
        };
        self.frames.begin(&video, &self.profile, "card").unwrap();
    }

    fn take(&mut self, pictures: impl IntoIterator<Item = Drawn>) -> Vec<Seen> {
        pictures.into_iter().map(|mut picture| self.frames.take(&mut picture)).collect()
    }

    /// What a reader of the `nth` series gets: instances, and how many were missed before each.
    fn read(&self, nth: usize) -> Vec<(i32, u64, Arc<Instance>)> {
        let mut cursor = Cursor::new(self.hub.series().remove(nth), From::Oldest);
        let (mut read, mut missed) = (Vec::new(), 0);
        while let Some(item) = cursor.try_next() {
            match item {
                Item::Missed(told) => missed += told.lost,
                Item::Instance(instance) => {
                    read.push((instance.number().unwrap(), std::mem::take(&mut missed), instance));
                }
                Item::End(_) => break,
            }
        }
        read
    }

    /// Instance Numbers, and the frames missed before each, of the `nth` series.
    fn numbers(&self, nth: usize) -> Vec<(i32, u64)> {
        self.read(nth).into_iter().map(|(number, missed, _)| (number, missed)).collect()
    }

    fn dropped(&self, reason: &str) -> bool {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        text.contains(&format!("dropped_total{{capture=\"room\",reason=\"{reason}\"}}"))
    }
}

#[test]
fn what_the_driver_lost_is_a_gap_that_readers_are_told_of() {
    let mut room = Room::new(|_, _| ());
    room.take([drawn(5, 1), drawn(6, 2), drawn(9, 3), drawn(10, 4)]);
    assert_eq!(room.numbers(0), [(1, 0), (2, 0), (5, 2), (6, 0)]);
    let pixels: Vec<u8> = room.read(0).iter().map(|(.., instance)| instance.pixels()[0]).collect();
    assert_eq!(pixels, [1, 2, 3, 4]);
}

#[test]
fn what_is_spoilt_is_a_gap_and_counted_by_its_reason() {
    let mut room = Room::new(|_, _| ());
    let cut = |mut picture: Drawn| {
        picture.bytes.truncate(100);
        picture
    };
    room.take([
        drawn(0, 1),
        Drawn { corrupt: true, ..drawn(1, 1) },
        cut(drawn(2, 1)),
        Drawn { age: Duration::from_secs(1), ..drawn(3, 1) },
        drawn(4, 1),
        // The driver tells the same frame twice.
        drawn(4, 1),
        drawn(5, 1),
    ]);
    assert_eq!(room.numbers(0), [(1, 0), (5, 3), (6, 0)]);
    for reason in ["corrupt", "truncated", "stale", "repeated"] {
        assert!(room.dropped(reason), "{reason}");
    }
}

#[test]
fn a_frame_that_waited_belongs_to_whom_it_was_captured_of() {
    let mut room = Room::new(|_, _| ());
    let now = Instant::now();
    let ago = |ms: u64| now.checked_sub(Duration::from_millis(ms)).unwrap();
    for (id, ms) in [("1", 400), ("2", 100)] {
        let patient = Patient { id: id.to_owned(), ..Patient::default() };
        let order = Some(Arc::new(Order { patient, ..Order::default() }));
        room.desk.wish_at("room", ago(ms), |wanted| wanted.order = order).unwrap();
    }
    let aged = |sequence, ms| Drawn { age: Duration::from_millis(ms), ..drawn(sequence, 1) };
    room.take([aged(0, 250), aged(1, 200), aged(2, 0)]);
    assert_eq!([room.numbers(0), room.numbers(1)], [vec![(1, 0), (2, 0)], vec![(1, 0)]]);
    let id = |nth: usize| {
        let dataset = room.read(nth)[0].2.dataset().unwrap();
        dataset.element(dicom_dictionary_std::tags::PATIENT_ID).unwrap().to_str().unwrap().trim().to_owned()
    };
    assert_eq!([id(0), id(1)], ["1", "2"]);
}

#[test]
fn pictures_that_do_not_change_go_out_only_to_keep_alive_and_leave_no_gap() {
    let mut room = Room::new(|settings, _| {
        settings.changes_only = true;
        settings.keep_alive = Duration::from_secs(3600);
    });
    room.take([drawn(0, 1), drawn(1, 1), drawn(2, 1), drawn(3, 2), drawn(4, 2), drawn(6, 3)]);
    assert_eq!(room.numbers(0), [(1, 0), (2, 0), (4, 1)]);
    let mut room = Room::new(|settings, _| {
        settings.changes_only = true;
        settings.keep_alive = Duration::ZERO;
    });
    room.take([drawn(0, 1), drawn(1, 1), drawn(2, 1)]);
    assert_eq!(room.numbers(0).len(), 3);
}

#[test]
fn a_series_of_activity_begins_with_movement() {
    let mut room = Room::new(|settings, _| {
        settings.series = SeriesPolicy::Activity;
        settings.activity_quiet = Duration::ZERO;
    });
    // The second differs by no more than noise.
    room.take([drawn(0, 100), drawn(1, 110)]);
    assert!(room.hub.series().is_empty());
    room.take([drawn(2, 200)]);
    assert_eq!(room.numbers(0), [(1, 0)]);
    room.take([drawn(3, 200), drawn(4, 100)]);
    assert_eq!(room.hub.series().len(), 2);
    assert_eq!(room.numbers(1), [(1, 0)]);
}

#[test]
fn the_devices_own_picture_is_no_picture() {
    use aws_lc_rs::digest::{SHA256, digest};
    let mut room = Room::new(|settings, profile| {
        settings.series = SeriesPolicy::Signal;
        profile.no_signal = NoSignal::Splash;
        let sha256 = digest(&SHA256, &[7; WIDTH * HEIGHT]).as_ref().try_into().unwrap();
        profile.splash = vec![Splash { sha256, seen: "here".to_owned() }];
    });
    let seen = room.take([drawn(0, 1), drawn(1, 7), drawn(2, 7), drawn(3, 7)]);
    assert_eq!(seen, [Seen::Signal, Seen::NoSignal, Seen::NoSignal, Seen::NoSignal]);
    assert_eq!(room.take([drawn(4, 9), drawn(5, 7)]), [Seen::Signal, Seen::NoSignal]);
    assert_eq!(room.numbers(0), [(1, 0), (2, 0)]);
}

#[test]
fn compressed_frames_keep_their_order_and_what_there_is_no_room_for_is_a_gap() {
    let mut room = Room::new(|settings, profile| {
        settings.compression = Compression::Rle;
        profile.cpu.cores = 3;
    });
    room.take((0..200).map(|number| drawn(number, number as u8)));
    let changes = room.frames.changes();
    // Threads end after what is under way.
    room.frames.compressing = None;
    assert_eq!(room.frames.changes(), changes);
    let read = room.read(0);
    assert!(!read.is_empty());
    let mut last = 0;
    for (number, missed, instance) in read {
        assert_eq!(i64::from(number), i64::from(last) + 1 + missed as i64);
        last = number;
        assert_eq!(&**instance.transfer_syntax(), Encoding::Rle.transfer_syntax());
        let native = to_explicit_little_endian(instance.object().unwrap(), usize::MAX).unwrap();
        let pixels = native.element(dicom_dictionary_std::tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
        assert_eq!(pixels[0], (number - 1) as u8);
    }
}
