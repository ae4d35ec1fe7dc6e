//! `framegate capture`: tries a capture device as the service would run it, for an engineer with a laptop.
//! The same thread and the same hub, and no network: it says what state the device is in, shows a line a
//! second, and ends when so many instances have come, or none has for too long.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde_json::json;

use super::report::Report;
use super::save::{self, Saved, Saver};
use super::statistics::{Arrival, Statistics};
use super::stop::Stop;
use crate::audit::Audit;
use crate::config::settings::{CaptureSettings, HubSettings, PixelChoice, ServiceSettings};
use crate::config::{self, Settings};
use crate::context::desk::{self, Desk};
use crate::hub::{Cursors, From, Hub, Item};
use crate::instance::Instance;
use crate::service::Captures;
use crate::source::capture::counters::{CaptureCounters, Counters};

/// How often the hub is tended and the state looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// A driver may hang; it is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Name of the capture where no configuration names one.
const NAME: &str = "capture";

/// What to capture from, and how much.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Device: auto (the only one there is), a path below /dev, usb:VVVV:PPPP, bus:BUS, card:NAME, or replay:CLIP
    #[arg(long, value_parser = |text: &str| value("device", text))]
    device: Option<String>,
    /// Stop after so many instances
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,
    /// Write each instance as DIR/STUDY/SERIES/INSTANCE.dcm
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Hardware profile instead of the one that fits
    #[arg(long, value_name = "NAME", value_parser = |text: &str| value("profile", text))]
    profile: Option<String>,
    /// Colour or not: color or grey
    #[arg(long, value_parser = |text: &str| value("pixels", text))]
    pixels: Option<String>,
    /// Take everything else from a capture of this configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which capture of the configuration, where it has several
    #[arg(long, value_name = "NAME", requires = "config")]
    capture: Option<String>,
    /// Give up when no instance has come for so long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// One JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// What a configuration takes for this key of a capture is right here.
fn value(key: &str, text: &str) -> Result<String, String> {
    config::check_text(&format!("capture.*.{key}"), text).map(|()| text.to_owned())
}

/// Captures until it has what is asked for, or is told to stop.
pub(super) fn capture(options: Options) -> anyhow::Result<()> {
    // The states that the capture logs are shown as they come.
    let _log = super::start_log(&ServiceSettings { log: "error".to_owned(), ..ServiceSettings::default() })?;
    let (name, settings) = settings(&options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(Box::pin(run(&options, name, settings)));
    runtime.shutdown_background();
    outcome
}

/// The capture that is tried, and its name.
fn settings(options: &Options) -> anyhow::Result<(String, CaptureSettings)> {
    let (name, mut capture) = match &options.config {
        None => (NAME.to_owned(), CaptureSettings::default()),
        Some(file) => {
            let Settings { captures, .. } = super::load(Some(file))?.settings;
            chosen(captures, options.capture.as_deref())?
        }
    };
    if let Some(device) = &options.device {
        capture.device.clone_from(device);
    }
    if let Some(profile) = &options.profile {
        capture.profile.clone_from(profile);
    }
    if let Some(pixels) = &options.pixels {
        let read: Result<_, serde::de::value::Error> =
            PixelChoice::deserialize(pixels.as_str().into_deserializer());
        capture.pixels = read?;
    }
    Ok((name, capture))
}

fn chosen(
    mut captures: BTreeMap<String, CaptureSettings>,
    name: Option<&str>,
) -> anyhow::Result<(String, CaptureSettings)> {
    let names: Vec<&str> = captures.keys().map(String::as_str).collect();
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name.to_owned(),
        (None, [only]) => (*only).to_owned(),
        (None, []) => anyhow::bail!("the configuration has no [capture.NAME]"),
        (None, several) => anyhow::bail!("the configuration has several: --capture {}", several.join(" or ")),
    };
    let capture = captures.remove(&name).with_context(|| format!("there is no [capture.{name}]"))?;
    Ok((name, capture))
}

async fn run(options: &Options, name: String, settings: CaptureSettings) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let saver = options.save.as_deref().map(Saver::start).transpose()?;
    let hub = Hub::new(HubSettings::default());
    let desk = Desk::by([(name.clone(), desk::Rules::of(&settings))]);
    // There is nobody else to say so, where the series is an operator's.
    desk.wish(&name, |wanted| wanted.running = Some(true))?;
    let counters = CaptureCounters::default();
    let captures =
        Captures::start(&BTreeMap::from([(name.clone(), settings)]), &hub, &desk, &counters, &Audit::none())?;
    let mut trial = Trial {
        report: Report::standard(options.json),
        saver,
        statistics: Statistics::default(),
        desk,
        counters: counters.of(&name),
        told: desk::Report::default(),
        second: Second::default(),
        got: 0,
        wanted: options.frames,
    };
    let ended = trial.until(&hub, Duration::from_secs(options.seconds), &mut stop).await;
    let stopped = tokio::task::spawn_blocking(move || captures.stop());
    let let_go = tokio::time::timeout(PATIENCE, stopped).await.is_ok();
    trial.finish(ended?, let_go).await
}

/// How a trial ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    All,
    /// None has come for too long.
    TimedOut,
    Told,
}

/// What was counted when the second began.
#[derive(Debug, Default)]
struct Second {
    instances: u64,
    frames: u64,
}

struct Trial<W> {
    report: Report<W>,
    saver: Option<Saver>,
    statistics: Statistics,
    desk: Desk,
    counters: Counters,
    /// What the capture said of itself when it was last told.
    told: desk::Report,
    second: Second,
    got: u64,
    wanted: u64,
}

impl<W: Write> Trial<W> {
    async fn until(&mut self, hub: &Hub, patience: Duration, stop: &mut Stop) -> anyhow::Result<Ended> {
        let mut cursors = Cursors::new(hub.clone(), From::Oldest, |_| true);
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let (mut since, mut last) = (Instant::now(), Instant::now());
        // All that there is has ended and was read.
        let mut idle = true;
        while self.got < self.wanted {
            let next = async {
                if idle {
                    cursors.opened().await;
                }
                cursors.next().await
            };
            tokio::select! {
                biased;
                () = stop.told() => return Ok(Ended::Told),
                _ = second.tick() => {
                    let over = std::mem::replace(&mut since, Instant::now()).elapsed();
                    self.second(over)?;
                }
                _ = housekeeping.tick() => {
                    hub.tick();
                    self.state()?;
                    if last.elapsed() > patience {
                        return Ok(Ended::TimedOut);
                    }
                }
                (_, item) = next => {
                    idle = matches!(item, Item::End(_));
                    match item {
                        Item::Instance(instance) => {
                            self.instance(&instance).await?;
                            last = Instant::now();
                        }
                        // What the driver lost has its place in every line.
                        Item::Missed(missed) if missed.left > 0 => {
                            let fields = json!({"count": missed.left});
                            self.report.event("missed", fields, &missed.to_string())?;
                        }
                        Item::Missed(_) | Item::End(_) => {}
                    }
                }
            }
        }
        self.state()?;
        Ok(Ended::All)
    }

    async fn instance(&mut self, instance: &Instance) -> anyhow::Result<()> {
        self.got += 1;
        let arrival = Arrival::of(instance, instance.available(), false);
        if self.statistics.arrived(&arrival)
            && let Some(series) = self.statistics.find(&arrival.study, &arrival.series)
        {
            self.report.opened(series)?;
        }
        if let Some(saver) = &self.saver {
            saver.save(Saved::of(&arrival, "dcm", instance.part10().into())).await;
        }
        Ok(())
    }

    /// What the capture says of itself.
    fn said(&self) -> desk::Report {
        self.desk.reports().into_iter().next().map(|(_, _, report)| report).unwrap_or_default()
    }

    /// Tells of a change of state.
    fn state(&mut self) -> anyhow::Result<()> {
        let now = self.said();
        let shown = |report: &desk::Report| {
            let desk::Report { state, advice, device, profile, format, .. } = report.clone();
            (state, advice, device, profile, format)
        };
        if now.state.is_empty() || shown(&now) == shown(&self.told) {
            return Ok(());
        }
        let fields = json!({
            "state": now.state,
            "advice": now.advice,
            "device": now.device,
            "profile": now.profile,
            "format": now.format,
        });
        let mut line = now.state.to_owned();
        for (title, text) in [("", &now.format), ("device ", &now.device), ("profile ", &now.profile)] {
            if !text.is_empty() {
                line.push_str(&format!(", {title}{text}"));
            }
        }
        if !now.advice.is_empty() {
            line.push_str(&format!(": {}", now.advice));
        }
        self.report.event("state", fields, &line)?;
        self.told = now;
        Ok(())
    }

    /// A second is over.
    fn second(&mut self, over: Duration) -> anyhow::Result<()> {
        let before = std::mem::replace(
            &mut self.second,
            Second { instances: self.got, frames: self.counters.frames.get() },
        );
        // The first tick is at the very beginning.
        if let Some(failure) = self.saver.as_mut().and_then(Saver::new_failure) {
            self.report.not_saving(&failure)?;
        }
        if over < Duration::from_millis(500) || self.second.frames == 0 {
            return Ok(());
        }
        let a_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / over.as_secs_f64();
        let frames = a_second(self.second.frames, before.frames);
        let instances = a_second(self.second.instances, before.instances);
        let (lost, dropped) = (self.counters.lost.get(), self.counters.dropped_in_all.get());
        let fields = json!({
            "frames_per_second": frames,
            "instances_per_second": instances,
            "instances": self.got,
            "lost": lost,
            "dropped": dropped,
        });
        let line = format!(
            "{frames:.1} frames/s, {instances:.1} instances/s, {} of {}, lost {lost}, dropped {dropped}",
            self.got, self.wanted
        );
        Ok(self.report.event("second", fields, &line)?)
    }

    async fn finish(mut self, ended: Ended, let_go: bool) -> anyhow::Result<()> {
        let (frames, lost) = (self.counters.frames.get(), self.counters.lost.get());
        let dropped = self.counters.dropped_in_all.get();
        let fields = json!({"frames": frames, "lost": lost, "dropped": dropped});
        let line = format!("{frames} frames delivered, lost {lost}, dropped {dropped}");
        self.report.event("delivered", fields, &line)?;
        let saves = self.saver.is_some();
        let saved = save::finish(self.saver, &mut self.report).await?;
        self.report.stopped(&self.statistics, saved)?;
        if !let_go {
            self.report.remark("the device does not let go of its capture thread")?;
        }
        if saves && saved != Some(self.got) {
            anyhow::bail!("{} of {} instances were saved", saved.unwrap_or(0), self.got);
        }
        let (got, wanted) = (self.got, self.wanted);
        match ended {
            Ended::All => Ok(()),
            Ended::Told => anyhow::bail!("stopped after {got} of {wanted} instances"),
            Ended::TimedOut => {
                let why = why(&self.told, dropped);
                anyhow::bail!("{got} of {wanted} instances came, and no more: {why}")
            }
        }
    }
}

/// Why none has come.
fn why(said: &desk::Report, dropped: u64) -> String {
    match said.state {
        "" => "the device has not answered yet".to_owned(),
        state if !said.advice.is_empty() => format!("{state}: {}", said.advice),
        state if dropped > 0 => format!("{state}, and {dropped} frames could not be used"),
        state => {
            format!("{state}, and no frame was wanted: does the picture move, and is --seconds long enough?")
        }
    }
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::tags;

    use super::*;

    fn options(device: &str) -> Options {
        Options {
            device: Some(device.to_owned()),
            frames: 3,
            save: None,
            profile: None,
            pixels: None,
            config: None,
            capture: None,
            seconds: 1,
            json: true,
        }
    }

    fn configuration(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.toml");
        std::fs::write(&file, format!("dicomweb.tls.self_signed = true\n{text}")).unwrap();
        (folder, file)
    }

    #[test]
    fn the_command_line_goes_over_the_configuration() {
        let (_folder, file) =
            configuration("[capture.xa]\ndevice = '/dev/video7'\nmodality = 'XA'\npixels = 'grey'");
        let mut options = Options { device: None, config: Some(file), ..options("") };
        let (name, from_file) = settings(&options).unwrap();
        assert_eq!((name.as_str(), from_file.device.as_str()), ("xa", "/dev/video7"));
        options.device = Some("usb:0fd9:0066".to_owned());
        options.profile = Some("cam-link-4k".to_owned());
        options.pixels = Some("color".to_owned());
        let (_, over) = settings(&options).unwrap();
        assert_eq!((over.device.as_str(), over.profile.as_str()), ("usb:0fd9:0066", "cam-link-4k"));
        assert_eq!((over.pixels, over.modality.as_str()), (PixelChoice::Color, "XA"));
    }

    #[test]
    fn of_several_captures_one_is_named() {
        let (_folder, file) =
            configuration("[capture.a]\ndevice = '/dev/video0'\n[capture.b]\ndevice = '/dev/video1'");
        let mut options = Options { device: None, config: Some(file), ..options("") };
        let error = settings(&options).unwrap_err().to_string();
        assert_eq!(error, "the configuration has several: --capture a or b");
        options.capture = Some("b".to_owned());
        assert_eq!(settings(&options).unwrap().1.device, "/dev/video1");
        options.capture = Some("c".to_owned());
        assert_eq!(settings(&options).unwrap_err().to_string(), "there is no [capture.c]");
    }

    #[test]
    fn without_a_configuration_all_is_as_if_it_said_nothing() {
        let (name, capture) = settings(&options("auto")).unwrap();
        assert_eq!((name.as_str(), capture), (NAME, CaptureSettings::default()));
    }

    #[tokio::test]
    async fn what_a_device_delivers_is_saved_until_there_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("clip.raw"), [7; 16 * 16]).unwrap();
        let clip = folder.path().join("clip.toml");
        let text = "file = 'clip.raw'\nformat = 'GREY'\nwidth = 16\nheight = 16\nrate = 100.0\nlose = [1]\n";
        std::fs::write(&clip, text).unwrap();
        let save = folder.path().join("out");
        let options = Options { save: Some(save.clone()), ..options(&format!("replay:{}", clip.display())) };
        let (name, capture) = settings(&options).unwrap();
        run(&options, name, capture).await.unwrap();
        let mut files = Vec::new();
        let mut open = vec![save];
        while let Some(path) = open.pop() {
            match std::fs::read_dir(&path) {
                Ok(entries) => open.extend(entries.map(|entry| entry.unwrap().path())),
                Err(_) => files.push(path),
            }
        }
        assert_eq!(files.len(), 3, "{files:?}");
        let mut numbers: Vec<i32> = files
            .iter()
            .map(|file| dicom_object::open_file(file).unwrap())
            .map(|object| object.element(tags::INSTANCE_NUMBER).unwrap().to_int().unwrap())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 3, 4], "the second was lost");
    }

    #[tokio::test]
    async fn a_device_that_is_not_there_is_said_so() {
        let (name, capture) = settings(&options("/dev/no-such-video")).unwrap();
        let error = run(&options("/dev/no-such-video"), name, capture).await.unwrap_err().to_string();
        assert!(
            error.starts_with("0 of 3 instances came, and no more: absent: the device is gone"),
            "{error}"
        );
    }

    #[test]
    fn what_keeps_instances_from_coming_is_said() {
        let said = |state, advice: &str| desk::Report {
            state,
            advice: advice.to_owned(),
            ..desk::Report::default()
        };
        assert_eq!(why(&said("no-signal", "plug it in"), 0), "no-signal: plug it in");
        assert_eq!(why(&said("streaming", ""), 7), "streaming, and 7 frames could not be used");
        assert!(why(&said("streaming", ""), 0).contains("does the picture move"));
    }
}
