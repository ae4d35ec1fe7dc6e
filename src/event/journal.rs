//! The system's journal, in its own protocol (systemd's "Native Journal Protocol"): an entry keeps its level, its event
//! and each of its fields apart, so that `journalctl FRAMEGATE_EVENT=relay.upstream_away` finds what a search for words
//! would miss. Used where standard error is connected to the journal anyway (systemd.exec(5), `$JOURNAL_STREAM`).
//!
//! One entry is one datagram. What is too long for one is cut: the protocol would pass it in a memory file, which the
//! unit forbids.

use std::env;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::sys::stat::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use uuid::Uuid;

use super::said::Said;

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// What its messages' numbers are made in (UUID version 5).
const NAMESPACE: Uuid = Uuid::from_u128(0x8b1d_5ac2_6f0e_4d39_9c57_3e20_a4f1_76bb);
/// Bytes of one value; all of an entry have to fit into a datagram (net.core.wmem_default, 208 KiB).
const LONGEST: usize = 16 << 10;

/// The number of all messages with this event's name: what journald calls `MESSAGE_ID`.
pub(crate) fn message_id(event: &str) -> String {
    Uuid::new_v5(&NAMESPACE, event.as_bytes()).as_simple().to_string()
}

/// The part of the subscriber that writes to the journal what passes the filter.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// The journal, if it is what `stderr` is connected to; opened now, since later we may be confined.
    pub fn behind(stderr: impl AsFd) -> Option<Self> {
        let named = env::var("JOURNAL_STREAM").ok()?;
        let stat = fstat(stderr).ok()?;
        // A child of ours, or a shell between, may have another standard error than the unit.
        (named == format!("{}:{}", stat.st_dev, stat.st_ino)).then(|| Self::at(Path::new(SOCKET)).ok())?
    }

    fn at(path: &Path) -> io::Result<Self> {
        // Whether anybody listens.
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let said = Said::by(event);
        let target = said.target.as_deref().unwrap_or_else(|| event.metadata().target());
        let line = said.line();
        let entry = entry(*event.metadata().level(), target, &said, &line);
        // By its path each time: whoever listens there may be another one by now.
        if self.socket.send_to(&entry, &self.path).is_err() {
            // The journal takes this as well, without its fields.
            let _ = writeln!(io::stderr().lock(), "{} {target}: {line}", event.metadata().level());
        }
    }
}

fn entry(level: Level, target: &str, said: &Said, line: &str) -> Vec<u8> {
    // syslog(3).
    let priority = match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    };
    let mut entry = Vec::with_capacity(512);
    put(&mut entry, "MESSAGE", line);
    put(&mut entry, "PRIORITY", priority);
    put(&mut entry, "SYSLOG_IDENTIFIER", "framegate");
    put(&mut entry, "FRAMEGATE_TARGET", target);
    if !said.name.is_empty() {
        put(&mut entry, "FRAMEGATE_EVENT", &said.name);
        put(&mut entry, "MESSAGE_ID", &message_id(&said.name));
    }
    for field in &said.fields {
        // Names of fields are capital letters, digits and underscores.
        let key = field.key.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        put(&mut entry, &format!("FRAMEGATE_{key}"), &field.value);
    }
    entry
}

/// `KEY=value`, or the length before the value where a line would not hold it.
fn put(entry: &mut Vec<u8>, key: &str, value: &str) {
    let value = value.get(..value.floor_char_boundary(LONGEST)).unwrap_or_default().as_bytes();
    entry.extend_from_slice(key.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn an_entry_keeps_its_fields_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            let event = tracing::field::display("net.tried");
            tracing::warn!(relay = "pacs", "why.not" = 3, event, "two\nlines");
        });
        let mut datagram = [0; 4096];
        let length = journald.recv(&mut datagram).unwrap();
        let message = "two\nlines relay=\"pacs\" why.not=3";
        let mut expected = b"MESSAGE\n".to_vec();
        expected.extend_from_slice(&(message.len() as u64).to_le_bytes());
        expected.extend_from_slice(message.as_bytes());
        expected.extend_from_slice(
            format!(
                "\nPRIORITY=4\nSYSLOG_IDENTIFIER=framegate\nFRAMEGATE_TARGET={}\nFRAMEGATE_EVENT=net.tried\n\
                 MESSAGE_ID={}\nFRAMEGATE_RELAY=pacs\nFRAMEGATE_WHY_NOT=3\n",
                module_path!(),
                message_id("net.tried")
            )
            .as_bytes(),
        );
        assert_eq!(String::from_utf8_lossy(&datagram[..length]), String::from_utf8_lossy(&expected));
    }

    #[test]
    fn long_values_are_cut() {
        let mut entry = Vec::new();
        put(&mut entry, "MESSAGE", &"ä".repeat(LONGEST));
        assert_eq!(entry.len(), "MESSAGE=\n".len() + LONGEST);
    }

    #[test]
    fn numbers_stay() {
        assert_eq!(message_id("relay.upstream_away"), message_id("relay.upstream_away"));
        assert_eq!(message_id("a.b").len(), 32);
    }

    #[test]
    fn standard_error_that_is_something_else_is_not_the_journal() {
        assert!(Journal::behind(File::open("/dev/null").unwrap()).is_none());
    }
}
