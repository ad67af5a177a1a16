//! Memory and CPU of the server's process, from `/proc`.

/// Resource usage of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Resident memory, in bytes.
    pub(super) memory: u64,
    /// CPU time of all threads, in seconds.
    pub(super) cpu: f64,
}

/// Clock ticks per second in `/proc`: 100 on every Linux in use.
const TICKS: f64 = 100.0;

/// Reads the usage of a process; returns `None` if `/proc` does not show it.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let cpu = (ticks(11)? + ticks(12)?) as f64 / TICKS;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(Usage {
        memory: kilobytes * 1024,
        cpu,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn we_can_see_ourselves() {
        let usage = super::usage(std::process::id()).unwrap();
        assert!(usage.memory > 100_000, "{usage:?}");
    }
}
