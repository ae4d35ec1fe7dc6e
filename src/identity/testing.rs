//! A hospital's certificate authorities, for tests, and a box with its key.

use std::path::PathBuf;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

use super::{Identity, create};
use crate::net::tls::testing::day;

/// A root, an authority below it, and what they have signed, as PEM text.
pub(super) struct Hospital {
    pub(super) root: String,
    pub(super) intermediate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Hospital {
    pub(super) fn new() -> Self {
        let (root, root_key) = (authority("Hospital Root"), KeyPair::generate().unwrap());
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(root, root_key);
        let (params, key) = (authority("Hospital Devices"), KeyPair::generate().unwrap());
        let intermediate = params.signed_by(&key, &root).unwrap().pem();
        Self { root: root_pem, intermediate, issuer: Issuer::new(params, key) }
    }

    /// A server's certificate for `key` that is valid from `from` to `to` days from now, changed by `change`.
    pub(super) fn sign(
        &self,
        key: &KeyPair,
        (from, to): (i32, i32),
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let mut params = CertificateParams::new(vec!["room7.hospital.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "room 7");
        params.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse().unwrap()));
        let now = SystemTime::now();
        (params.not_before, params.not_after) = (day(now, from).into(), day(now, to).into());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A box after its first boot, in memory.
pub(super) struct Made {
    pub(super) folder: tempfile::TempDir,
    pub(super) directory: PathBuf,
    pub(super) key: PathBuf,
    pub(super) identity: Identity,
}

impl Made {
    /// `None` where there is no tmpfs.
    pub(super) fn new(hostname: Option<&str>) -> Option<Self> {
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
            println!("skipped: no tmpfs at /dev/shm");
            return None;
        };
        let (directory, key) = (folder.path().join("identity"), folder.path().join("server.key"));
        let identity = create(&directory, &key, hostname).unwrap();
        Some(Self { folder, directory, key, identity })
    }

    pub(super) fn key_pair(&self) -> KeyPair {
        KeyPair::from_pem(&std::fs::read_to_string(&self.key).unwrap()).unwrap()
    }
}
