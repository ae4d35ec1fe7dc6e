//! Makes the identity of a box, once. Everything is prepared in a directory beside, so that there is a whole identity or
//! none, whenever the power fails; what was left of an attempt that was cut off is thrown away.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::KeyPair;
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::files::{at, beside, sync, write_new};
use super::{CERTIFICATE, DEVICE_ID, HOSTNAME, Identity, IdentityError, REQUEST};
use crate::net::tls::{Validity, server_params};
use crate::spool::is_volatile;

/// 2025-01-01 and 2035-01-01 in UTC, in seconds since 1970. A fixed beginning, long ago: a box that has never been on
/// has a clock that nobody has set.
const VALID: (u64, u64) = (1_735_689_600, 2_051_222_400);

/// Makes `directory` (mode 0750; its files 0640) and, in `key`, the private key of its certificate (ECDSA P-256,
/// PKCS #8 in PEM, mode 0600). The host name is `hostname`, or made of the device id. Names of the certificate: the
/// host name, alone and in the domain `local` (RFC 6762); valid from 2025 to 2034.
///
/// # Errors
/// [`IdentityError`] if there is such a directory already, the key would be on a disk, or something cannot be written;
/// there is no `directory` then.
pub fn create(directory: &Path, key: &Path, hostname: Option<&str>) -> Result<Identity, IdentityError> {
    match directory.symlink_metadata() {
        Ok(_) => return Err(IdentityError::Exists { directory: directory.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(directory)(error)),
    }
    let memory = parent(key);
    if !is_volatile(memory).map_err(at(memory))? {
        return Err(IdentityError::NotVolatile { file: key.to_owned() });
    }
    let part = beside(directory);
    if part.symlink_metadata().is_ok() {
        fs::remove_dir_all(&part).map_err(at(&part))?;
        // Of the same attempt, and of no use to anybody.
        match fs::remove_file(key) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(key)(error)),
            _ => {}
        }
    }
    let id = device_id()?;
    let hostname = match hostname {
        Some(name) => checked(name)?.to_owned(),
        None => format!("framegate-{}", id.get(6..).unwrap_or_default()),
    };
    let pair = fill(&part, &id, &hostname)?;
    let secret = Zeroizing::new(pair.serialize_pem());
    match write_new(key, secret.as_bytes(), 0o600) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // Before the next attempt takes it for the key of this one.
            fs::remove_dir_all(&part).map_err(at(&part))?;
            return Err(IdentityError::KeyExists { file: key.to_owned() });
        }
        Err(error) => return Err(at(key)(error)),
        Ok(_) => {}
    }
    fs::rename(&part, directory).map_err(at(directory))?;
    sync(parent(directory)).map_err(at(directory))?;
    Identity::read(directory)
}

/// Makes the directory `part` with all files but the key, which it returns.
fn fill(part: &Path, id: &str, hostname: &str) -> Result<KeyPair, IdentityError> {
    let failed = |error: rcgen::Error| IdentityError::Generate { reason: error.to_string() };
    let pair = KeyPair::generate().map_err(failed)?;
    let local = format!("{hostname}.local");
    let day = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let valid = Validity { not_before: day(VALID.0), not_after: day(VALID.1) };
    let params = server_params(hostname, &[hostname, &local], valid).map_err(failed)?;
    let certificate = params.self_signed(&pair).map_err(failed)?;
    let certificate = Certificate::of(certificate.der().clone())
        .ok_or_else(|| IdentityError::Generate { reason: "it cannot be read back".to_owned() })?;
    let request = params.serialize_request(&pair).and_then(|request| request.pem()).map_err(failed)?;

    fs::DirBuilder::new().mode(0o750).create(part).map_err(at(part))?;
    // Whatever the umask is.
    fs::set_permissions(part, fs::Permissions::from_mode(0o750)).map_err(at(part))?;
    for (name, text) in [
        (DEVICE_ID, format!("{id}\n")),
        (HOSTNAME, format!("{hostname}\n")),
        (CERTIFICATE, certificate.pem()),
        (REQUEST, request),
    ] {
        let file = part.join(name);
        write_new(&file, text.as_bytes(), 0o640).map_err(at(&file))?;
    }
    sync(part).map_err(at(part))?;
    Ok(pair)
}

/// 48 random bits in hexadecimal.
fn device_id() -> Result<String, IdentityError> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(bytes.as_mut_slice())
        .map_err(|_| IdentityError::Generate { reason: "the kernel gives no random numbers".to_owned() })?;
    Ok(format!("{:012x}", u64::from_be_bytes(bytes) >> 16))
}

/// One label of a host name (RFC 1123 §2.1), in lower case.
fn checked(name: &str) -> Result<&str, IdentityError> {
    let fits = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if fits { Ok(name) } else { Err(IdentityError::Hostname) }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::testing::Made;
    use super::*;
    use crate::net::tls::{self, testing::pair};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_box_has_an_identity_of_its_own_that_can_be_served() {
        let (Some(one), Some(other)) = (Made::new(None), Made::new(None)) else { return };
        let id = &one.identity.device_id;
        assert!(
            id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{id}"
        );
        assert_ne!(*id, other.identity.device_id);
        let hostname = format!("framegate-{}", &id[6..]);
        assert_eq!(one.identity.hostname, hostname);
        assert_eq!(one.identity.ae_title(), format!("FG{}", id[6..].to_uppercase()));
        let certificate = &one.identity.certificate;
        assert_eq!(certificate.names, [hostname.clone(), format!("{hostname}.local")]);
        assert_eq!(certificate.subject, format!("CN={hostname}"));
        assert!(certificate.is_self_signed() && certificate.for_servers && one.identity.key_matches_request);
        let (from, until) = one.identity.valid();
        assert_eq!((&*from, &*until), ("2025-01-01T00:00:00Z", "2035-01-01T00:00:00Z"));
        let identity = pair(&one.directory.join(CERTIFICATE), &one.key);
        tls::load(&identity, tls::HTTP_ALPN).unwrap();
    }

    #[test]
    fn nothing_secret_is_beside_the_certificate_and_nothing_is_open_to_others() {
        let Some(made) = Made::new(None) else { return };
        assert_eq!((mode(&made.directory), mode(&made.key)), (0o750, 0o600));
        let mut names = Vec::new();
        for entry in fs::read_dir(&made.directory).unwrap() {
            let file = entry.unwrap().path();
            assert_eq!(mode(&file), 0o640, "{}", file.display());
            assert!(!fs::read_to_string(&file).unwrap().contains("PRIVATE"));
            names.push(file.file_name().unwrap().to_str().unwrap().to_owned());
        }
        names.sort();
        assert_eq!(names, [DEVICE_ID, HOSTNAME, REQUEST, CERTIFICATE]);
    }

    #[test]
    fn an_identity_is_made_once() {
        let Some(made) = Made::new(None) else { return };
        let again = create(&made.directory, &made.folder.path().join("another.key"), None).unwrap_err();
        assert!(matches!(again, IdentityError::Exists { .. }), "{again}");
        assert_eq!(Identity::read(&made.directory).unwrap(), made.identity);
        let elsewhere = made.folder.path().join("elsewhere");
        let key = fs::read(&made.key).unwrap();
        let again = create(&elsewhere, &made.key, None).unwrap_err();
        assert!(matches!(again, IdentityError::KeyExists { .. }), "{again}");
        assert_eq!(fs::read(&made.key).unwrap(), key, "a key is never overwritten");
        assert!(!elsewhere.exists() && !beside(&elsewhere).exists());
    }

    #[test]
    fn what_was_cut_off_is_begun_anew() {
        let Some(made) = Made::new(None) else { return };
        let cut = made.folder.path().join("cut");
        let key = made.folder.path().join("cut.key");
        fs::create_dir(beside(&cut)).unwrap();
        fs::write(beside(&cut).join(DEVICE_ID), "half").unwrap();
        fs::write(&key, "half").unwrap();
        let identity = create(&cut, &key, None).unwrap();
        assert!(identity.key_matches_request && !beside(&cut).exists());
        assert!(fs::read_to_string(&key).unwrap().contains("PRIVATE KEY"));
    }

    #[test]
    fn a_key_is_never_on_a_disk() {
        let disk = tempfile::tempdir().unwrap();
        if is_volatile(disk.path()).unwrap() {
            println!("skipped: the temporary directory is a tmpfs");
            return;
        }
        let error = create(&disk.path().join("identity"), &disk.path().join("key"), None).unwrap_err();
        assert!(matches!(error, IdentityError::NotVolatile { .. }), "{error}");
        assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_host_name_is_a_label() {
        let Some(made) = Made::new(Some("lab-2")) else { return };
        assert_eq!(made.identity.hostname, "lab-2");
        for wrong in ["", "-a", "a-", "a.b", "A", "ä", "a b", &"a".repeat(64)] {
            assert!(matches!(checked(wrong), Err(IdentityError::Hostname)), "{wrong}");
        }
    }
}
