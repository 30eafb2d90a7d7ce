//! The memory fence around `linnetd`: its own budget refuses long before, so only a fault reaches
//! the fence, and then the kernel ends `linnetd` and nothing else.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::Pid;

use crate::limits::{FENCE_HARD_PERCENT, FENCE_SOFT_PERCENT};

const ROOT: &str = "/sys/fs/cgroup";
const GROUP: &str = "/sys/fs/cgroup/linnetd";

/// Makes the group with its limits.
pub(crate) fn make(memory_bytes: u64) -> io::Result<()> {
    // Without this the group would have no memory files.
    fs::write(Path::new(ROOT).join("cgroup.subtree_control"), "+memory")?;
    match fs::create_dir(GROUP) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let (soft, hard) = fence(memory_bytes);
    fs::write(Path::new(GROUP).join("memory.high"), soft.to_string())?;
    fs::write(Path::new(GROUP).join("memory.max"), hard.to_string())
}

/// Puts a process, and so all its later threads, into the group.
pub(crate) fn enter(pid: Pid) -> io::Result<()> {
    fs::write(Path::new(GROUP).join("cgroup.procs"), pid.as_raw_nonzero().to_string())
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
