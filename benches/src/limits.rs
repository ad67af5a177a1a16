//! Resource limits and cores of this process, which its children inherit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Raises the limit of open files as far as allowed, and returns it.
pub(crate) fn raise_open_files() -> u64 {
    let allowed = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: allowed.maximum,
        maximum: allowed.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the cores that this process may run on.
pub(crate) fn cores() -> Vec<usize> {
    sched_getaffinity(None).map_or_else(
        |_| vec![0],
        |set| {
            (0..CpuSet::MAX_CPU)
                .filter(|core| set.is_set(*core))
                .collect()
        },
    )
}

/// Runs `f` with this thread bound to `cores`, which the processes that it spawns inherit.
pub(crate) fn on_cores<T>(cores: &[usize], f: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None);
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    let _ = sched_setaffinity(None, &set);
    let result = f();
    if let Ok(before) = before {
        let _ = sched_setaffinity(None, &before);
    }
    result
}
