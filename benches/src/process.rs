//! Resource usage of processes and description of the machine, from `/proc`.

use std::fs;
use std::time::Duration;

/// CPU seconds and memory of a process and all its descendants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Seconds in user code, of all threads.
    pub(crate) user: f64,
    /// Seconds in the kernel.
    pub(crate) system: f64,
    /// Proportional set size, in bytes.
    pub(crate) pss: u64,
    /// Resident set size, in bytes.
    pub(crate) rss: u64,
}

impl Usage {
    pub(crate) fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// Observer of a process and of its descendants at the time of creation.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Vec<u32>);

/// Reads the fields of `/proc/PID/stat` after the name, which may contain anything.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    // The state is a letter: parsed as 0.
    Some(
        fields
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0))
            .collect(),
    )
}

impl Watch {
    /// Observes `pid`, or nothing if it is `None`.
    pub(crate) fn new(pid: Option<u32>) -> Watch {
        let Some(pid) = pid else {
            return Watch(Vec::new());
        };
        let all: Vec<(u32, u64)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, *stat(pid)?.get(1)?)))
            .collect();
        let mut tree = vec![pid];
        let mut next = 0;
        while let Some(&parent) = tree.get(next) {
            let children = all.iter().filter(|(_, of)| *of == u64::from(parent));
            tree.extend(children.map(|(pid, _)| *pid));
            next += 1;
        }
        Watch(tree)
    }

    /// Returns CPU time and memory.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = self.cpu();
        for pid in &self.0 {
            let rollup =
                fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            usage.pss += kilobytes(&rollup, "Pss:") * 1024;
            usage.rss += kilobytes(&rollup, "Rss:") * 1024;
        }
        usage
    }

    /// Returns the CPU time, in nanoseconds; that of a running thread is as old as the kernel's last tick.
    pub(crate) fn cpu_time(&self) -> Duration {
        let tasks = self
            .0
            .iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        let nanos = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Returns the CPU time only, which is cheap to read.
    pub(crate) fn cpu(&self) -> Usage {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let mut usage = Usage::default();
        for pid in &self.0 {
            if let Some(fields) = stat(*pid)
                && let [user, system, ..] = fields[11..]
            {
                usage.user += user as f64 / ticks;
                usage.system += system as f64 / ticks;
            }
        }
        usage
    }
}

fn kilobytes(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Describes the machine in a few words.
pub(crate) fn machine() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let gib = kilobytes(&read("/proc/meminfo"), "MemTotal:") as f64 / f64::from(1 << 20);
    let kernel = read("/proc/sys/kernel/osrelease");
    let virtual_ = if cpus.contains(" hypervisor") {
        ", a virtual machine"
    } else {
        ""
    };
    format!(
        "{model}, {cores} cores{virtual_}, {gib:.0} GiB, Linux {}",
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_can_see_ourselves_and_our_children() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let watch = Watch::new(Some(std::process::id()));
        assert!(watch.0.contains(&child.id()));
        let usage = watch.usage();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            usage.pss > 100_000 && usage.rss > usage.pss / 2,
            "{usage:?}"
        );
        assert!(machine().contains("cores"));
    }
}
