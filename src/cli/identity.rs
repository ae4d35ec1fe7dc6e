//! `framegate identity`: makes the identity of a box at its first boot, shows it, and replaces its certificate.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::identity::{self, DIRECTORY, Identity};
use crate::net::tls::ValidityState;

/// The private key among the credentials that systemd decrypts for a command.
const CREDENTIAL: &str = "server.key";

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the identity of this box: once, at its first boot
    Create {
        /// Where to; it must not be there yet
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
        /// File for the private key, on a tmpfs, to be encrypted from there (systemd-creds encrypt)
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Host name (default: framegate- and the last six digits of the device id)
        #[arg(long, value_name = "NAME")]
        hostname: Option<String>,
    },
    /// Show the identity of this box and how long its certificate is valid
    Show {
        /// Where it is
        #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
        directory: PathBuf,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print a request for a certificate with the key of this box
    Csr {
        /// DNS name or IP address for the certificate, any number of them (default: the host name, alone and with .local)
        #[arg(long = "name", value_name = "DNS_OR_IP")]
        names: Vec<String>,
        /// File with the private key (default: server.key in $CREDENTIALS_DIRECTORY)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Where the identity is
        #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
        directory: PathBuf,
    },
    /// Take what the certificate authority has sent: our certificate and its issuers, in any order
    Import {
        /// The certificates, as PEM text
        file: PathBuf,
        /// Where the identity is
        #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
        directory: PathBuf,
        /// Take certificates that have expired
        #[arg(long)]
        force: bool,
    },
}

/// Does it, and says on standard output what came of it.
///
/// # Errors
/// When something stands in the way, or standard output is closed.
pub(super) fn identity(options: Options) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let now = SystemTime::now();
    match options.action {
        Action::Create { directory, key, hostname } => {
            let made = identity::create(&directory, &key, hostname.as_deref())?;
            describe(&made, now, &mut out)?;
            writeln!(out, "private key      {} (encrypt it, and remove it)", key.display())?;
        }
        Action::Show { directory, json } => {
            let found = Identity::read(&directory)?;
            if json {
                writeln!(out, "{}", as_json(&found, now))?;
            } else {
                describe(&found, now, &mut out)?;
            }
        }
        Action::Csr { names, key, directory } => {
            let request = request(names, key, std::env::var_os("CREDENTIALS_DIRECTORY"), &directory)?;
            out.write_all(request.as_bytes())?;
        }
        Action::Import { file, directory, force } => import(&file, &directory, now, force, &mut out)?,
    }
    Ok(out.flush()?)
}

fn request(
    names: Vec<String>,
    key: Option<PathBuf>,
    credentials: Option<std::ffi::OsString>,
    directory: &Path,
) -> anyhow::Result<String> {
    let key = key.or_else(|| Some(Path::new(&credentials?).join(CREDENTIAL))).with_context(|| {
        format!(
            "where is the private key? Name a file (--key), or let systemd decrypt it: systemd-run --quiet --pipe \
             --wait -p LoadCredentialEncrypted={CREDENTIAL}:{DIRECTORY}/{CREDENTIAL}.cred framegate identity csr"
        )
    })?;
    let names = if names.is_empty() {
        let hostname = Identity::read(directory)?.hostname;
        vec![hostname.clone(), format!("{hostname}.local")]
    } else {
        names
    };
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    Ok(identity::request(&key, &names)?)
}

fn import(
    file: &Path,
    directory: &Path,
    now: SystemTime,
    force: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let imported = identity::import(file, directory, now, force)?;
    for note in &imported.chain.notes {
        writeln!(out, "note: {note}")?;
    }
    for (index, one) in imported.chain.certificates.iter().enumerate() {
        writeln!(out, "{}. {} (issued by {})", index + 1, one.subject, one.issuer)?;
    }
    if imported.changed {
        writeln!(
            out,
            "installed in {}; the service takes it by itself within half a minute, or at once by systemctl reload framegate",
            directory.display()
        )?;
    } else {
        writeln!(out, "these certificates are in {} already", directory.display())?;
    }
    Ok(())
}

/// A word for programs, and one for people.
fn state(found: &Identity, now: SystemTime) -> (&'static str, String) {
    let validity = found.certificate.validity;
    match validity.state(now) {
        ValidityState::Valid => ("valid", format!("{} days left", validity.days_left(now))),
        ValidityState::Expired => ("expired", "EXPIRED".to_owned()),
        ValidityState::NotYetValid => ("not_yet_valid", "NOT YET VALID: is the clock behind?".to_owned()),
    }
}

fn describe(found: &Identity, now: SystemTime, out: &mut impl Write) -> io::Result<()> {
    let certificate = &found.certificate;
    let (from, until) = found.valid();
    writeln!(out, "device id        {}", found.device_id)?;
    writeln!(out, "host name        {}", found.hostname)?;
    writeln!(out, "AE title         {} (unless configured otherwise)", found.ae_title())?;
    writeln!(out, "subject          {}", certificate.subject)?;
    let own = if certificate.is_self_signed() { " (self-signed)" } else { "" };
    writeln!(out, "issuer           {}{own}", certificate.issuer)?;
    writeln!(out, "names            {}", certificate.names.join(", "))?;
    writeln!(out, "valid            {from} to {until}, {}", state(found, now).1)?;
    writeln!(out, "SHA-256          {}", certificate.fingerprint())?;
    let key = if found.key_matches_request { "that of the request" } else { "NOT that of the request" };
    writeln!(out, "key              {key}")
}

fn as_json(found: &Identity, now: SystemTime) -> serde_json::Value {
    let certificate = &found.certificate;
    let (from, until) = found.valid();
    json!({
        "device_id": found.device_id,
        "hostname": found.hostname,
        "ae_title": found.ae_title(),
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "self_signed": certificate.is_self_signed(),
        "names": certificate.names,
        "not_before": from,
        "not_after": until,
        "state": state(found, now).0,
        "days_left": certificate.validity.days_left(now),
        "fingerprint_sha256": certificate.fingerprint(),
        "key_matches_request": found.key_matches_request,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A box that was just made, where there is a tmpfs.
    fn made() -> Option<(tempfile::TempDir, PathBuf, PathBuf)> {
        let folder = tempfile::tempdir_in("/dev/shm").ok()?;
        let (directory, key) = (folder.path().join("identity"), folder.path().join(CREDENTIAL));
        identity::create(&directory, &key, None).unwrap();
        Some((folder, directory, key))
    }

    #[test]
    fn people_and_programs_are_shown_the_same() {
        let Some((_folder, directory, _)) = made() else { return };
        let found = Identity::read(&directory).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (now, word, days, text) in [
            (at(0), "not_yet_valid", 24_106, "is the clock behind?"),
            (at(2_051_222_400 - 3 * 86_400), "valid", 3, "3 days left"),
            (at(2_051_222_400 + 3 * 86_400), "expired", -3, "EXPIRED"),
        ] {
            let mut out = Vec::new();
            describe(&found, now, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains(text) && out.contains(&found.certificate.fingerprint()), "{out}");
            let json = as_json(&found, now);
            assert_eq!(json["state"], word);
            assert!(json["days_left"] == days || word == "not_yet_valid", "{json}");
            assert_eq!(json["self_signed"], true);
        }
    }

    #[test]
    fn the_key_of_a_request_is_named_or_a_credential() {
        let Some((folder, directory, key)) = made() else { return };
        let credentials = || Some(folder.path().as_os_str().to_owned());
        let of = |key, credentials| request(Vec::new(), key, credentials, &directory);
        assert!(of(Some(key), None).unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        of(None, credentials()).unwrap();
        let error = of(None, None).unwrap_err().to_string();
        assert!(error.contains("--key") && error.contains("LoadCredentialEncrypted"), "{error}");
        let elsewhere = Path::new("/nonexistent");
        request(vec!["a.example".to_owned()], None, credentials(), elsewhere).unwrap();
        request(Vec::new(), None, credentials(), elsewhere).unwrap_err();
    }
}
