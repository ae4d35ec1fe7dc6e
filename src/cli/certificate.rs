//! A certificate that was made at the start, as a file for the clients that are told to trust it. It is
//! gone with the command.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file.
#[derive(Debug)]
pub(super) struct Certificate(PathBuf);

impl Certificate {
    /// Writes `pem` into the folder for temporary files, under the name of `command` and our process.
    ///
    /// # Errors
    /// When there is such a file already, or none can be made.
    pub(super) fn write(command: &str, pem: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("framegate-{command}-{}.pem", std::process::id()));
        // `create_new` follows no link that somebody else left there.
        File::create_new(&path)?.write_all(pem.as_bytes())?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // A file that somebody removed already is gone, which is all we want.
        let _ = fs::remove_file(&self.0);
    }
}
