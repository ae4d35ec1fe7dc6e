//! The flow of frames: what is asked for by the host, what is due, and what goes wrong on purpose.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::time::{Duration, Instant};

use crate::control::Mode;
use crate::descriptors::PAYLOAD;
use crate::picture::Picture;
use crate::usbip;

/// Bytes of a payload's header: its length, and flags (UVC 1.1, 2.4.3.3).
const HEADER: usize = 2;
const END_OF_FRAME: u8 = 0x02;
const ERROR: u8 = 0x40;
const END_OF_HEADER: u8 = 0x80;

/// What the picture is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Showing {
    /// A frame with the next number.
    Live,
    /// The last frame over and over, as a scaler does that lost its signal.
    Frozen,
    /// The vendor's picture.
    Splash,
    /// Nothing: transfers are left waiting.
    Nothing,
}

/// What goes wrong, and how often; 0 is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) showing: Showing,
    /// Every so-manieth frame is flagged as wrong.
    pub(crate) error: u32,
    /// Every so-manieth frame ends in its middle.
    pub(crate) truncate: u32,
}

/// One frame on its way.
struct Sending {
    splash: bool,
    /// Where it ends, and what is gone already.
    length: usize,
    at: usize,
    flagged: bool,
}

/// All of it. Lives as long as the program, whatever is plugged.
pub(crate) struct Stream {
    pub(crate) faults: Faults,
    interval: Duration,
    /// Transfers that the host waits for: sequence number and length.
    waiting: VecDeque<(u32, usize)>,
    picture: Option<Picture>,
    sending: Option<Sending>,
    /// Frames that were begun, which is the number in the next one.
    number: u32,
    /// Frames of any picture, by which faults are counted.
    shown: u32,
    /// The identifier that tells one frame from the next.
    toggle: bool,
    due: Option<Instant>,
}

impl Stream {
    pub(crate) fn new(fps: u32) -> Self {
        Self {
            faults: Faults { showing: Showing::Live, error: 0, truncate: 0 },
            interval: Duration::from_secs(1) / fps.max(1),
            waiting: VecDeque::new(),
            picture: None,
            sending: None,
            number: 0,
            shown: 0,
            toggle: false,
            due: None,
        }
    }

    /// The host has committed to a mode.
    pub(crate) fn commit(&mut self, mode: Mode) {
        self.picture = Picture::new(mode);
        if let Some(picture) = &mut self.picture {
            // What is frozen outlives a stream.
            picture.number(self.number.saturating_sub(1));
        }
        self.sending = None;
        self.due = None;
    }

    /// The cable is out: nothing is waited for.
    pub(crate) fn reset(&mut self) {
        self.waiting.clear();
        self.picture = None;
        self.sending = None;
    }

    /// The host waits for so many bytes.
    pub(crate) fn wanted(&mut self, sequence: u32, length: usize) {
        self.waiting.push_back((sequence, length));
    }

    /// The host waits no longer; whether it had still waited.
    pub(crate) fn take_back(&mut self, sequence: u32) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|&(waiting, _)| waiting != sequence);
        // The rest of a frame that nobody reads on must not open the next stream.
        self.sending = None;
        self.waiting.len() < before
    }

    /// Begins a frame if one is due, and answers every transfer that waits for it, in one write. Says
    /// how long there is nothing to do; `None` is until something is asked or commanded.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn pump(&mut self, now: Instant, socket: &mut impl Write) -> io::Result<Option<Duration>> {
        loop {
            let Some(picture) = &mut self.picture else { return Ok(None) };
            if self.waiting.is_empty() {
                return Ok(None);
            }
            let sending = match &mut self.sending {
                Some(sending) => sending,
                None if self.faults.showing == Showing::Nothing => return Ok(None),
                none => {
                    let due = *self.due.get_or_insert(now);
                    if due > now {
                        return Ok(Some(due - now));
                    }
                    // What is late by more than a frame is not made up for.
                    self.due = Some((due + self.interval).max(now));
                    if self.faults.showing == Showing::Live {
                        picture.number(self.number);
                        self.number = self.number.wrapping_add(1);
                    }
                    self.shown = self.shown.wrapping_add(1);
                    self.toggle = !self.toggle;
                    let hit = |every: u32| every != 0 && self.shown.is_multiple_of(every);
                    let splash = self.faults.showing == Showing::Splash;
                    let whole = if splash { picture.splash() } else { picture.frame() }.len();
                    let length = if hit(self.faults.truncate) { whole / 2 } else { whole };
                    none.insert(Sending { splash, length, at: 0, flagged: hit(self.faults.error) })
                }
            };
            let frame = if sending.splash { picture.splash() } else { picture.frame() };
            let frame = frame.get(..sending.length).unwrap_or(frame);
            let mut flags = END_OF_HEADER | u8::from(self.toggle);
            if sending.flagged {
                flags |= ERROR;
            }
            let mut heads = Vec::with_capacity(self.waiting.len());
            let mut parts: Vec<&[u8]> = Vec::with_capacity(self.waiting.len());
            while sending.at < frame.len()
                && let Some((sequence, length)) = self.waiting.pop_front()
            {
                let rest = frame.get(sending.at..).unwrap_or_default();
                let part = rest.get(..length.min(PAYLOAD).saturating_sub(HEADER)).unwrap_or(rest);
                sending.at += part.len();
                let last = if sending.at == frame.len() { END_OF_FRAME } else { 0 };
                let answer = usbip::transferred(sequence, 0, HEADER + part.len());
                heads.push((answer, [2, flags | last]));
                parts.push(part);
            }
            let mut slices: Vec<IoSlice<'_>> = heads
                .iter()
                .zip(parts)
                .flat_map(|((answer, header), part)| [answer.as_slice(), header, part])
                .map(IoSlice::new)
                .collect();
            write_all(socket, &mut slices)?;
            if sending.at >= frame.len() {
                self.sending = None;
            }
        }
    }
}

fn write_all(socket: &mut impl Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match socket.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Format, Size};

    const BYTES: usize = 640 * 16 * 2;
    /// Transfers of this length carry such a frame in three payloads.
    const LENGTH: usize = 8192;

    fn stream() -> Stream {
        let mut stream = Stream::new(50);
        stream.commit(Mode { format: Format::Yuyv, size: Size { width: 640, height: 16 } });
        (0..99).for_each(|sequence| stream.wanted(sequence, LENGTH));
        stream
    }

    /// Flags and length of every payload that is sent at one time.
    fn payloads(stream: &mut Stream, now: Instant) -> (Vec<(u8, usize)>, Option<Duration>) {
        let mut sent = Vec::new();
        let rest = stream.pump(now, &mut sent).unwrap();
        let (mut at, mut found) = (0, Vec::new());
        while at < sent.len() {
            let length = u32::from_be_bytes(sent[at + 24..at + 28].try_into().unwrap()) as usize;
            found.push((sent[at + usbip::HEADER + 1], length - HEADER));
            at += usbip::HEADER + length;
        }
        (found, rest)
    }

    #[test]
    fn a_frame_is_sent_when_it_is_due_and_ends_with_a_flag() {
        let (mut stream, start) = (stream(), Instant::now());
        let (first, rest) = payloads(&mut stream, start);
        assert_eq!(first, [(0x81, LENGTH - 2), (0x81, LENGTH - 2), (0x83, BYTES - 2 * (LENGTH - 2))]);
        assert_eq!(rest, Some(Duration::from_millis(20)));
        assert_eq!(payloads(&mut stream, start + Duration::from_millis(19)).0, []);
        let (second, _) = payloads(&mut stream, start + Duration::from_millis(20));
        assert_eq!(second.iter().map(|(flags, _)| *flags).collect::<Vec<_>>(), [0x80, 0x80, 0x82]);
    }

    #[test]
    fn faults_strike_every_nth_frame() {
        let (mut stream, mut now) = (stream(), Instant::now());
        stream.faults = Faults { showing: Showing::Live, error: 2, truncate: 3 };
        let mut struck = Vec::new();
        for _ in 0..6 {
            let (sent, _) = payloads(&mut stream, now);
            let whole = sent.iter().map(|(_, length)| length).sum::<usize>() == BYTES;
            struck.push((sent.iter().all(|(flags, _)| flags & ERROR != 0), !whole));
            now += stream.interval;
        }
        let (none, error, truncated) = ((false, false), (true, false), (false, true));
        assert_eq!(struck, [none, error, truncated, error, none, (true, true)]);
    }

    #[test]
    fn a_stall_leaves_transfers_waiting_until_they_are_taken_back() {
        let mut stream = stream();
        stream.faults.showing = Showing::Nothing;
        assert_eq!(payloads(&mut stream, Instant::now()), (vec![], None));
        assert!(stream.take_back(7));
        assert!(!stream.take_back(7));
        stream.faults.showing = Showing::Live;
        assert_eq!(payloads(&mut stream, Instant::now()).0.len(), 3);
    }

    #[test]
    fn the_frozen_picture_keeps_its_number() {
        let (mut stream, mut now) = (stream(), Instant::now());
        let mut last = |showing, stream: &mut Stream| {
            stream.faults.showing = showing;
            let mut sent = Vec::new();
            stream.pump(now, &mut sent).unwrap();
            now += stream.interval;
            let at = sent.len() - 600;
            sent.split_off(at)
        };
        // The last blocks of the last row with a number.
        let first = last(Showing::Live, &mut stream);
        let second = last(Showing::Live, &mut stream);
        let frozen = last(Showing::Frozen, &mut stream);
        let splash = last(Showing::Splash, &mut stream);
        assert!(first != second && second == frozen && frozen != splash);
        assert_eq!(stream.number, 2);
    }
}
