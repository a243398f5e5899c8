//! What the metrics look up around them when somebody asks: the process, the disk, the certificates.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::{Counter, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

use super::{raise, register, signed};
use crate::http::certificate;
use crate::http::tls::Certificates;
use crate::{host, logging, version};

/// Gauges of what is not the server's own doing.
pub(super) struct Surroundings {
    dropped_log_lines: IntCounter,
    resident_bytes: IntGauge,
    open_files: IntGauge,
    most_files: IntGauge,
    start_time: IntGauge,
    cpu_seconds: Counter,
    disk_free: IntGauge,
    disk_size: IntGauge,
    certificate_end: IntGaugeVec,
    data_folder: Mutex<Option<PathBuf>>,
    certificates: Mutex<Vec<(String, Arc<Certificates>)>>,
}

impl Surroundings {
    pub(super) fn new(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help));
        let dropped = ("conclave_log_lines_dropped_total", "Log lines that nobody took in time");
        let cpu = ("process_cpu_seconds_total", "Processor time used, of user and system together, in seconds");
        let end = Opts::new(
            "conclave_tls_certificate_expiry_seconds",
            "Until when a listener's certificate is valid, in seconds since 1970",
        );
        let build = Opts::new("conclave_build_info", "1, with what this program is as labels");
        let build = register(registry, IntGaugeVec::new(build, &["version", "api_version", "build_date"]));
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), version::API_VERSION, version::BUILD_DATE]).set(1);
        Self {
            dropped_log_lines: register(registry, IntCounter::new(dropped.0, dropped.1)),
            resident_bytes: gauge("process_resident_memory_bytes", "Memory in use"),
            open_files: gauge("process_open_fds", "Open files and sockets"),
            most_files: gauge("process_max_fds", "Files and sockets that may be open"),
            start_time: gauge("process_start_time_seconds", "When the process began, in seconds since 1970"),
            cpu_seconds: register(registry, Counter::new(cpu.0, cpu.1)),
            disk_free: gauge("conclave_disk_free_bytes", "Free on the file system of the data folder"),
            disk_size: gauge("conclave_disk_size_bytes", "Size of the file system of the data folder"),
            certificate_end: register(registry, IntGaugeVec::new(end, &["listener"])),
            data_folder: Mutex::default(),
            certificates: Mutex::default(),
        }
    }

    pub(super) fn watch_folder(&self, path: PathBuf) {
        *self.data_folder.lock() = Some(path);
    }

    pub(super) fn watch_certificate(&self, listener: String, certificates: Arc<Certificates>) {
        self.certificates.lock().push((listener, certificates));
    }

    pub(super) fn look(&self) {
        raise(&self.dropped_log_lines, logging::dropped());
        let process = host::process();
        self.resident_bytes.set(signed(process.resident_bytes));
        self.open_files.set(signed(process.open_files));
        self.most_files.set(signed(process.most_files));
        self.start_time.set(signed(process.start_secs));
        self.cpu_seconds.inc_by((process.cpu_secs - self.cpu_seconds.get()).max(0.0));
        if let Some(status) = self.data_folder.lock().as_ref().and_then(|path| rustix::fs::statvfs(path).ok()) {
            self.disk_free.set(signed(status.f_bavail.saturating_mul(status.f_frsize)));
            self.disk_size.set(signed(status.f_blocks.saturating_mul(status.f_frsize)));
        }
        for (listener, certificates) in self.certificates.lock().iter() {
            let certificate = certificates.end_entity();
            if let Some((_, end)) = certificate.and_then(|certificate| certificate::validity(&certificate)) {
                self.certificate_end.with_label_values(&[listener]).set(end);
            }
        }
    }
}
