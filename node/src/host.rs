//! Facts about the machine and this process, from `/proc`, for `sys/host-info` and the metrics.
//!
//! What cannot be read is left out or zero: none of it is worth a failure.

use std::fs;

use serde_json::{Map, Value, json};

/// What this process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Memory in bytes.
    pub resident_bytes: u64,
    /// Files and sockets.
    pub open_files: u64,
    /// How many there may be.
    pub most_files: u64,
    /// When it began, in seconds since 1970.
    pub start_secs: u64,
    /// Processor time in seconds, of user and system together.
    pub cpu_secs: f64,
}

/// Reads what this process uses now.
pub fn process() -> Process {
    let statm = read("/proc/self/statm");
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let stat = read("/proc/self/stat");
    // The name in the second field may hold spaces, so fields are counted from behind it (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
    let number = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    Process {
        resident_bytes: pages * rustix::param::page_size() as u64,
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        most_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX),
        start_secs: boot_time() + number(19) / ticks_per_second,
        cpu_secs: (number(11) + number(12)) as f64 / ticks_per_second as f64,
    }
}

/// The machine's name.
pub fn name() -> String {
    read("/proc/sys/kernel/hostname").trim().to_owned()
}

/// The data of `sys/host-info`.
pub fn info() -> Map<String, Value> {
    let mut info = Map::new();
    info.insert("timestamp".into(), jiff::Timestamp::now().to_string().into());
    info.insert("host".into(), host());
    info.insert("memory".into(), memory());
    info.insert("cpu".into(), processors());
    info.insert("cpu_times".into(), processor_times());
    info.insert("disk".into(), disks());
    info
}

fn host() -> Value {
    let uptime: f64 = read("/proc/uptime").split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let processes = fs::read_dir("/proc").map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
            .count()
    });
    let release = read("/etc/os-release");
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or("").trim_matches('"').to_owned()
    };
    json!({
        "hostname": name(),
        "uptime": uptime as u64,
        "bootTime": boot_time(),
        "procs": processes,
        "os": std::env::consts::OS,
        "platform": field("ID"),
        "platformFamily": field("ID_LIKE"),
        "platformVersion": field("VERSION_ID"),
        "kernelVersion": read("/proc/sys/kernel/osrelease").trim(),
        "kernelArch": std::env::consts::ARCH,
    })
}

/// When the machine started, in seconds since 1970.
fn boot_time() -> u64 {
    let text = read("/proc/stat");
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0)
}

fn memory() -> Value {
    let text = read("/proc/meminfo");
    let bytes = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    let used = total.saturating_sub(available);
    json!({
        "total": total,
        "available": available,
        "used": used,
        "usedPercent": if total == 0 { 0.0 } else { used as f64 * 100.0 / total as f64 },
        "free": bytes("MemFree"),
        "buffers": bytes("Buffers"),
        "cached": bytes("Cached"),
        "swapTotal": bytes("SwapTotal"),
        "swapFree": bytes("SwapFree"),
    })
}

fn processors() -> Value {
    let text = read("/proc/cpuinfo");
    let described = text.split("\n\n").filter(|part| part.contains("processor"));
    let one = |(number, part): (usize, &str)| {
        let field = |name: &str| {
            let line = part.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
            line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())).unwrap_or_default()
        };
        json!({
            "cpu": number,
            "vendorId": field("vendor_id"),
            "modelName": field("model name"),
            "mhz": field("cpu MHz").parse::<f64>().unwrap_or(0.0),
            "cores": 1,
        })
    };
    described.enumerate().map(one).collect()
}

fn processor_times() -> Value {
    let text = read("/proc/stat");
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1) as f64;
    let lines = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    let one = |line: &str| {
        let mut fields = line.split_whitespace();
        let name = fields.next().unwrap_or("").to_owned();
        let secs: Vec<f64> = fields.map(|field| field.parse::<f64>().unwrap_or(0.0) / ticks_per_second).collect();
        let at = |index: usize| secs.get(index).copied().unwrap_or(0.0);
        json!({
            "cpu": name, "user": at(0), "nice": at(1), "system": at(2), "idle": at(3), "iowait": at(4), "irq": at(5),
            "softirq": at(6), "steal": at(7),
        })
    };
    lines.map(one).collect()
}

/// The file systems on devices, each once.
fn disks() -> Value {
    let text = read("/proc/self/mounts");
    let mut seen = Vec::new();
    let mut disks = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("/dev/")) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [device, path, kind, ..] = fields[..] else { continue };
        if seen.contains(&device) {
            continue;
        }
        seen.push(device);
        let Ok(status) = rustix::fs::statvfs(path) else { continue };
        let (total, free) = (status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize);
        let used = total.saturating_sub(status.f_bfree * status.f_frsize);
        disks.push(json!({
            "path": path, "fstype": kind, "total": total, "free": free, "used": used,
            "usedPercent": if total == 0 { 0.0 } else { used as f64 * 100.0 / total as f64 },
        }));
    }
    Value::Array(disks)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_this_machine_s() {
        let info = info();
        assert!(info["memory"]["total"].as_u64().unwrap() > 1 << 20);
        assert!(info["host"]["uptime"].as_u64().unwrap() > 0);
        assert!(!info["cpu_times"].as_array().unwrap().is_empty());
        let process = process();
        assert!(process.resident_bytes > 1 << 20 && process.open_files >= 3, "{process:?}");
    }
}
