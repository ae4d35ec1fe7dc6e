//! A USB camera made of software, for the guest of the test bed: it plugs itself into the guest's virtual
//! host controller, and the kernel's own uvcvideo finds and streams it. What goes wrong with real ones can
//! be commanded while it runs; see [`options::USAGE`] and ../README.md.
//!
//! One thread reads what the host asks, one sends frames when they are due, and the first one reads
//! commands. They meet in [`Shared`], whose lock is held while an answer is written: an answer that
//! overtakes another would have the kernel drop the device.

mod control;
mod descriptors;
mod jpeg;
mod options;
mod picture;
mod port;
mod stream;
mod usbip;

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use control::{Answer, Control};
use options::{Options, USAGE};
use stream::{Showing, Stream};
use usbip::Request;

/// What the threads share.
struct Shared {
    options: Options,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    stream: Stream,
    /// The camera's end of the cable.
    socket: Option<UnixStream>,
    /// Counts plugs, so that the reader of an old cable does not pull out a new one.
    plugs: u32,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plug(self: &Arc<Self>) -> io::Result<()> {
        let mut state = self.lock();
        if state.socket.is_some() {
            say("plugged already");
            return Ok(());
        }
        let (socket, port) = port::plug()?;
        let reading = socket.try_clone()?;
        state.socket = Some(socket);
        state.plugs += 1;
        let (shared, plug) = (Arc::clone(self), state.plugs);
        thread::spawn(move || {
            let ended = shared.serve(reading);
            let mut state = shared.lock();
            if state.plugs == plug {
                state.unplug();
                if let Err(error) = ended
                    && error.kind() != io::ErrorKind::UnexpectedEof
                {
                    say(&format!("the host let go: {error}"));
                }
            }
        });
        say(&format!("plugged into port {port}"));
        Ok(())
    }

    /// Answers what the host asks, until the cable is out.
    fn serve(&self, socket: UnixStream) -> io::Result<()> {
        let mut control = Control::new();
        let mut reader = BufReader::new(socket);
        loop {
            let request = usbip::read_request(&mut reader)?;
            let mut state = self.lock();
            let State { stream, socket: Some(socket), .. } = &mut *state else { return Ok(()) };
            match request {
                Request::Bulk { sequence, length } => stream.wanted(sequence, length),
                Request::Unlink { sequence, victim } => {
                    let status = if stream.take_back(victim) { usbip::TAKEN_BACK } else { 0 };
                    socket.write_all(&usbip::unlinked(sequence, status))?;
                }
                Request::Control { sequence, setup, data } => {
                    let (status, length, reply) = match control.answer(&self.options, setup, &data) {
                        Answer::Data(reply) => (0, reply.len(), reply),
                        Answer::Done(length) => (0, length, Vec::new()),
                        Answer::Committed(mode, length) => {
                            stream.commit(mode);
                            say(&format!(
                                "streams {:?} {}x{}",
                                mode.format, mode.size.width, mode.size.height
                            ));
                            (0, length, Vec::new())
                        }
                        Answer::Refused => (usbip::STALL, 0, Vec::new()),
                    };
                    let header = usbip::transferred(sequence, status, length);
                    socket.write_all(&[header.as_slice(), &reply].concat())?;
                }
            }
            self.changed.notify_one();
        }
    }

    /// Sends frames for ever.
    fn send(&self) {
        let mut state = self.lock();
        loop {
            let rest = match &mut *state {
                State { stream, socket: Some(socket), .. } => match stream.pump(Instant::now(), socket) {
                    Ok(rest) => rest,
                    Err(_) => {
                        state.unplug();
                        None
                    }
                },
                _ => None,
            };
            state = match rest {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(rest) => {
                    self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Does what a line says; whether there is more to come.
    fn command(self: &Arc<Self>, line: &str) -> Result<bool, String> {
        let (word, number) = line.trim().split_once(' ').unwrap_or((line.trim(), "0"));
        let number = number.trim().parse().map_err(|_| format!("{line}: no number"))?;
        let show = |showing| {
            self.lock().stream.faults.showing = showing;
            say(word);
        };
        match word {
            "plug" => self.plug().map_err(|error| format!("plug: {error}"))?,
            "unplug" => {
                self.lock().unplug();
                say(word);
            }
            "stall" => show(Showing::Nothing),
            "splash" => show(Showing::Splash),
            "frozen" => show(Showing::Frozen),
            "resume" => show(Showing::Live),
            "error" => {
                self.lock().stream.faults.error = number;
                say(line);
            }
            "truncate" => {
                self.lock().stream.faults.truncate = number;
                say(line);
            }
            "quit" => return Ok(false),
            "" => {}
            _ => return Err(format!("{line}: no command; {USAGE}")),
        }
        self.changed.notify_one();
        Ok(true)
    }
}

impl State {
    fn unplug(&mut self) {
        if let Some(socket) = self.socket.take() {
            // An error means that the other end is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.stream.reset();
    }
}

/// One line for whoever waits for it.
fn say(line: &str) {
    let mut out = io::stdout();
    // Nobody may be listening.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn run(options: Options) -> Result<(), String> {
    let commands: Box<dyn BufRead> = match &options.control {
        None => Box::new(io::stdin().lock()),
        // Open for writing too, so that it does not end with the first who wrote.
        Some(path) => Box::new(BufReader::new(
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .map_err(|error| format!("{path}: {error}"))?,
        )),
    };
    let state = State { stream: Stream::new(options.fps), socket: None, plugs: 0 };
    let shared = Arc::new(Shared { options, state: Mutex::new(state), changed: Condvar::new() });
    let sender = Arc::clone(&shared);
    thread::spawn(move || sender.send());
    shared.plug().map_err(|error| format!("plug: {error}"))?;
    for line in commands.lines() {
        match shared.command(&line.map_err(|error| error.to_string())?) {
            Ok(true) => {}
            Ok(false) => break,
            Err(wrong) => say(&wrong),
        }
    }
    shared.lock().unplug();
    Ok(())
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).map_err(|wrong| format!("{wrong}\n{USAGE}")).and_then(run)
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            let _ = writeln!(io::stderr(), "{wrong}");
            ExitCode::from(64)
        }
    }
}
