//! What Prometheus expects of any process, from /proc (proc(5)) and the kernel's clock of the process. A file that
//! cannot be read is a line that is left out.

use std::fmt;
use std::fs;
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// This process.
#[derive(Debug)]
pub(in crate::service) struct Process {
    begun: SystemTime,
}

impl Process {
    /// It began then.
    pub(super) fn begun(begun: SystemTime) -> Self {
        Self { begun }
    }
}

/// Resident memory (bytes).
pub(in crate::service) fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Open descriptors, without the one that it takes to count them.
pub(in crate::service) fn descriptors() -> Option<u64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64)
}

/// How many descriptors may be open.
pub(in crate::service) fn descriptor_limit() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok().map(Duration::from)
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory", memory()),
            ("process_open_fds", "Open descriptors", descriptors()),
            ("process_max_fds", "How many descriptors may be open", descriptor_limit()),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let begun = self.begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let help = "When the service began (Unix time)";
        ConstGauge::new(begun.as_secs_f64()).encode(encoder.encode_descriptor(
            "process_start_time_seconds",
            help,
            None,
            MetricType::Gauge,
        )?)?;
        let Some(cpu) = cpu() else { return Ok(()) };
        let help = "CPU time of all threads, user and system";
        let descriptor = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(cpu.as_secs_f64()).encode(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        assert!(memory().unwrap() > 1 << 20);
        let open = descriptors().unwrap();
        assert!(open > 2 && descriptor_limit().unwrap() >= open);
        assert!(cpu().unwrap() > Duration::ZERO);
        // Other tests open and close files meanwhile, but not so many.
        let before = descriptors().unwrap();
        let held: Vec<_> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(descriptors().unwrap() >= before + 100);
        drop(held);
    }
}
