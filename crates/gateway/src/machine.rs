//! What the process may use of the machine.

use std::fs;

/// Lets the process open as many files as it may open at all, and tells how many.
#[cfg(unix)]
pub(crate) fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some systems have another limit besides.
        Err(_) => limit.current,
    }
}

/// How many bytes of memory there are for the process: those of the machine, or those that its control
/// group may have.
pub(crate) fn memory() -> Option<u64> {
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::"));
    let limits = [
        format!("/sys/fs/cgroup{}/memory.max", group.unwrap_or_default()),
        "/sys/fs/cgroup/memory.max".to_owned(),
        "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned(),
    ];
    let limits = limits
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    let limits = limits.filter_map(|text| text.trim().parse().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok();
    limits
        .chain(machine.and_then(|text| of_machine(&text)))
        .min()
}

/// What Linux tells of the memory of the machine.
fn of_machine(text: &str) -> Option<u64> {
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read() {
        let text = "MemTotal:       24566552 kB\nMemFree:         1029568 kB\n";
        assert_eq!(of_machine(text), Some(24_566_552 * 1024));
        assert_eq!(of_machine("MemFree: 1 kB"), None);
        assert_eq!(of_machine("MemTotal: lots"), None);
    }
}
