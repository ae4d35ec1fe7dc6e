//! `framegate demo`: everything on loopback, without hardware or configuration. Prints what to
//! paste into another terminal.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use clap::Args;

use super::certificate::Certificate;
use super::console_code;
use crate::config::{self, Loaded};
use crate::dicomweb::routes::BASE;
use crate::service::{self, Ready, Reload};

/// What the demo shows. The angiogram's options stand for the `[pattern]` keys.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Rows of the angiogram (pixels)
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(64..=4096))]
    rows: u16,
    /// Columns of the angiogram (pixels)
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(64..=4096))]
    columns: u16,
    /// Bits Stored: 8, 12 or 16
    #[arg(long, default_value_t = 8, value_parser = bits)]
    bits: u8,
    /// RGB instead of MONOCHROME2 (8 bits only)
    #[arg(long)]
    color: bool,
    /// Frames per second, 1 to 240
    #[arg(long, default_value_t = 15.0, value_parser = fps)]
    fps: f64,
    /// Port of the DIMSE source on 127.0.0.1
    #[arg(long, default_value_t = 11112)]
    dimse_port: u16,
    /// Port of DICOMweb on 127.0.0.1
    #[arg(long, default_value_t = 8443)]
    https_port: u16,
    /// Port of the console on 127.0.0.1
    #[arg(long, default_value_t = 9443)]
    console_port: u16,
    /// Do not start the angiogram
    #[arg(long)]
    no_pattern: bool,
}

fn bits(text: &str) -> Result<u8, String> {
    match text {
        "8" => Ok(8),
        "12" => Ok(12),
        "16" => Ok(16),
        _ => Err("8, 12 or 16".to_owned()),
    }
}

fn fps(text: &str) -> Result<f64, String> {
    let fps: f64 = text.parse().map_err(|_| "a number from 1 to 240".to_owned())?;
    if (1.0..=240.0).contains(&fps) { Ok(fps) } else { Err("a number from 1 to 240".to_owned()) }
}

/// Runs the demo until it is told to stop.
pub(super) fn demo(options: Options) -> anyhow::Result<()> {
    if options.color && options.bits != 8 {
        anyhow::bail!("--color goes with --bits 8");
    }
    let mut loaded = super::load(None)?;
    apply(&options, &mut loaded);
    let log = super::start_log(&loaded.settings.service)?;
    let again = loaded.clone();
    let load = Box::new(move || Ok(again.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut certificate = None;
    let outcome = runtime.block_on(service::run(loaded, Reload { load, log, file: None }, |ready| {
        certificate = ready.certificate_pem.as_deref().and_then(|pem| Certificate::write("demo", pem).ok());
        let _ = greet(ready, certificate.as_ref().map(Certificate::path), &mut io::stdout().lock());
    }));
    runtime.shutdown_background();
    Ok(outcome?)
}

/// Loopback only, and everything allowed there, whatever the environment says; the certificate is made at the start.
fn apply(options: &Options, loaded: &mut Loaded) {
    let settings = &mut loaded.settings;
    settings.dimse.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, options.dimse_port)));
    settings.dimse.tls = None;
    settings.dicomweb.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, options.https_port));
    settings.dicomweb.tls = config::settings::HttpTls::SelfSigned;
    settings.dicomweb.cors_origins = vec!["*".to_owned()];
    settings.console.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, options.console_port)));
    settings.console.allow = config::settings::loopback_networks();
    settings.console.tls = config::settings::HttpTls::SelfSigned;
    settings.console.code_may = vec![config::settings::Right::Operate, config::settings::Right::Phi];
    settings.access.anonymous = config::settings::Rights::all();
    settings.pattern.enabled = !options.no_pattern;
    settings.pattern.rows = options.rows;
    settings.pattern.columns = options.columns;
    settings.pattern.bits = options.bits;
    settings.pattern.color = options.color;
    settings.pattern.fps = options.fps;
}

/// Prints the addresses and a line each to paste.
fn greet(ready: &Ready, certificate: Option<&Path>, out: &mut impl Write) -> io::Result<()> {
    let base = format!("https://{}{BASE}", ready.dicomweb);
    let trust =
        certificate.map_or_else(|| "--insecure".to_owned(), |file| format!("--cacert {}", file.display()));
    let verify = certificate.map_or_else(|| "False".to_owned(), |file| format!("\"{}\"", file.display()));
    writeln!(out, "DICOMweb   {base}")?;
    if let Some(dimse) = ready.dimse {
        writeln!(out, "DIMSE      {dimse}, called AE title FRAMEGATE")?;
    }
    if let Some(made) = ready.console.as_ref().and_then(|console| console.new_code().ok()) {
        writeln!(out)?;
        console_code::write(&made, out)?;
        writeln!(out)?;
    }
    if let Some((study, series)) = &ready.pattern {
        let series = format!("{base}/studies/{study}/series/{series}");
        writeln!(out, "Angiogram  {series}")?;
        writeln!(out, "In a browser (accept the certificate): {series}/rendered")?;
        writeln!(out)?;
        writeln!(out, "# every frame as it comes, until the demo stops")?;
        writeln!(
            out,
            "curl --no-buffer {trust} -H 'Accept: multipart/related; type=\"application/dicom\"' {series} > series.multipart"
        )?;
    }
    writeln!(out)?;
    writeln!(out, "# what is live")?;
    writeln!(out, "curl {trust} {base}/studies")?;
    if let Some(dimse) = ready.dimse {
        writeln!(out)?;
        writeln!(out, "# send an object of yours")?;
        writeln!(out, "storescu -aec FRAMEGATE {} {} FILE.dcm", dimse.ip(), dimse.port())?;
    }
    writeln!(out)?;
    writeln!(out, "# Python, with the package dicomweb-client")?;
    writeln!(
        out,
        "python3 -c 'import requests; from dicomweb_client.api import DICOMwebClient; s = requests.Session(); s.trust_env = False; s.verify = {verify}; print(DICOMwebClient(\"{base}\", session=s).search_for_series())'"
    )?;
    writeln!(out)?;
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_allowed_on_loopback_only() {
        let options = Options {
            rows: 512,
            columns: 512,
            bits: 8,
            color: false,
            fps: 15.0,
            dimse_port: 0,
            https_port: 0,
            console_port: 0,
            no_pattern: true,
        };
        let variables =
            [("FRAMEGATE_DICOMWEB__LISTEN", "0.0.0.0:8443"), ("FRAMEGATE_DIMSE__LISTEN", "0.0.0.0:104")];
        let env = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut loaded = config::load(None, env.into_iter()).unwrap();
        apply(&options, &mut loaded);
        assert_eq!(loaded.settings.access.anonymous, config::settings::Rights::all());
        assert!(loaded.settings.dicomweb.listen.ip().is_loopback());
        assert!(loaded.settings.console.listen.unwrap().ip().is_loopback());
        assert!(loaded.settings.dimse.listen.unwrap().ip().is_loopback());
    }
}
