//! Makes glibc give memory back. Its thresholds grow with the largest block ever freed, so after a
//! few password hashes (19 MiB each) it keeps over 100 MB for ever: measured 167 MB against 12 MB
//! with 200 sessions. They can only be fixed before the program starts, by the environment.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Set once the program runs with its settings, so that it starts itself at most once.
const MARK: &str = "LINNETD_MEMORY_SET";

/// mallopt(3): bytes from which a block is mapped by itself and unmapped when freed; free bytes at
/// the end of the heap that are given back; heaps of threads.
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_MMAP_THRESHOLD_", "1048576"),
    ("MALLOC_TRIM_THRESHOLD_", "262144"),
    ("MALLOC_ARENA_MAX", "4"),
];

/// Starts the program again with the settings, under the same process id. When that fails it goes
/// on without: it works, it only needs more memory.
pub(crate) fn settle() {
    if env::var_os(MARK).is_none() {
        let error = restart();
        eprintln!("memory settings could not be made ({error}); more memory than needed is kept");
    }
}

/// Replaces this process by a new run of the same program; returns only when that fails.
pub(crate) fn restart() -> std::io::Error {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| "linnetd".into());
    Command::new(program).arg0(name).args(arguments).envs(SETTINGS).env(MARK, "1").exec()
}
