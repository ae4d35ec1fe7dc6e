//! `framegate run --config FILE`: the service.

use std::path::PathBuf;

use crate::config;
use crate::service::confine::confine;
use crate::service::{self, Reload};

/// Runs until it is told to stop.
pub(super) fn run(file: PathBuf) -> anyhow::Result<()> {
    let loaded = super::load(Some(&file))?;
    let log = super::start_log(&loaded.settings.service)?;
    confine(&loaded, &file)?;
    let path = file.clone();
    let load = Box::new(move || config::load(Some(&path), config::process_environment()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(service::run(loaded, Reload { load, log, file: Some(file) }, |_| ()))?;
    // What is still open after the drain time is dropped with the process, not waited for.
    runtime.shutdown_background();
    Ok(())
}
