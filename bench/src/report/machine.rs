//! The machine that figures belong to.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a figure depends on beside the program.
#[derive(Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_mb: u64,
    pub(crate) kernel: String,
    /// Load average of a minute, before and after the run. Much before it means that others were at work.
    pub(crate) load_before: f64,
    pub(crate) load_after: f64,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here() -> Self {
        let load = load();
        Self {
            processor: processor(&read("/proc/cpuinfo")),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_mb: memory_mb(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: load,
            load_after: load,
        }
    }

    /// Notes the load after a run.
    pub(super) fn note_load(&mut self) {
        self.load_after = load();
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        format!(
            "{} cores of {}, {} MB, Linux {}; load average {:.1} before, {:.1} after",
            self.cores, self.processor, self.memory_mb, self.kernel, self.load_before, self.load_after
        )
    }
}

/// What the system says; nothing where it says nothing.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn load() -> f64 {
    read("/proc/loadavg").split_ascii_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

fn processor(cpuinfo: &str) -> String {
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "an unnamed processor".to_owned(), |(_, name)| name.trim().to_owned())
}

fn memory_mb(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: A Chip @ 2 GHz\n"), "A Chip @ 2 GHz");
        assert_eq!(processor(""), "an unnamed processor");
        assert_eq!(memory_mb("MemTotal:       24000000 kB\n"), 24_000);
    }
}
