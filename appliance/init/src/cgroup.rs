//! The fences of memory, tasks and processor time around the services. `linnetd`'s own budget
//! refuses long before, so only a fault reaches the fence, and then the kernel ends that service
//! and nothing else.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::Pid;

use crate::limits::{
    FENCE_HARD_PERCENT, FENCE_SOFT_PERCENT, NET_MEMORY_BYTES_MAX, NET_TASKS_MAX, SERVER_TASKS_MAX,
};

const ROOT: &str = "/sys/fs/cgroup";

/// Makes the groups of the services with their limits; a sentence for each that could not be set.
pub(crate) fn make(memory_bytes: u64) -> Vec<String> {
    let (soft, hard) = fence(memory_bytes);
    let rows = [
        // Without these the groups would have no files of the kind. With `cpu`, a service that
        // spins gets the share of one process, however many threads it has.
        ("cgroup.subtree_control", "+memory".to_owned()),
        ("cgroup.subtree_control", "+pids".to_owned()),
        ("cgroup.subtree_control", "+cpu".to_owned()),
        ("linnetd/memory.high", soft.to_string()),
        ("linnetd/memory.max", hard.to_string()),
        ("linnetd/pids.max", SERVER_TASKS_MAX.to_string()),
        ("net/memory.max", NET_MEMORY_BYTES_MAX.to_string()),
        ("net/pids.max", NET_TASKS_MAX.to_string()),
        ("syslog/memory.max", NET_MEMORY_BYTES_MAX.to_string()),
        ("syslog/pids.max", NET_TASKS_MAX.to_string()),
    ];
    for group in ["linnetd", "net", "syslog"] {
        // Whatever is wrong with it, the writes below say so.
        let _ = fs::create_dir(Path::new(ROOT).join(group));
    }
    let set = |(file, value): (&str, String)| {
        let error = fs::write(Path::new(ROOT).join(file), value).err()?;
        Some(format!("The limit {file} of the services was not set: {error}."))
    };
    rows.into_iter().filter_map(set).collect()
}

/// Puts a process, and so all that it starts later, into a group.
pub(crate) fn enter(group: &str, pid: Pid) -> io::Result<()> {
    let file = Path::new(ROOT).join(group).join("cgroup.procs");
    fs::write(file, pid.as_raw_nonzero().to_string())
}

/// Where the kernel slows down and where it ends, in bytes.
fn fence(memory_bytes: u64) -> (u64, u64) {
    let percent = |share: u64| memory_bytes / 100 * share;
    (percent(FENCE_SOFT_PERCENT), percent(FENCE_HARD_PERCENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_board_keeps_room_for_kernel_and_init() {
        let memory = 950 << 20;
        let (soft, hard) = fence(memory);
        assert!(soft < hard && memory - hard >= 100 << 20);
        assert!(soft > 480 << 20, "linnetd's own budget of 480 MB stays below the fence");
    }
}
