//! What the processes of the box take of its memory, for the test that holds them to the budget
//! (`linnet.test=memory`): each one's share as the kernel counts it (PSS), largest first.

use std::fs;
use std::path::Path;

use crate::smallfile::{read_bytes, read_text};

/// Bytes of a command line that are looked at; the name stands first.
const ARGUMENTS_BYTES_MAX: u64 = 256;

/// A process and its share.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Share {
    kib: u64,
    name: String,
}

/// One line for each process and one for all of them. `proc` is where the kernel lists them.
pub(crate) fn lines(proc: &Path) -> Vec<String> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let numbered = entries.map(|entry| entry.path()).filter(|path| is_process(path));
    let mut shares: Vec<Share> = numbered.filter_map(|path| share(&path)).collect();
    shares.sort_by(|one, other| other.kib.cmp(&one.kib).then_with(|| one.name.cmp(&other.name)));
    let together: u64 = shares.iter().map(|share| share.kib).sum();
    let lines = shares.iter().map(|share| format!("memory: {} KiB {}", share.kib, share.name));
    lines.chain([format!("memory: {together} KiB together")]).collect()
}

fn is_process(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Threads of the kernel have no memory of their own and are left out.
fn share(process: &Path) -> Option<Share> {
    let rollup = read_text(process.join("smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let arguments = read_bytes(&process.join("cmdline"), ARGUMENTS_BYTES_MAX).unwrap_or_default();
    Some(Share { kib, name: name(&arguments) })
}

/// The program and, where it has one, its role: `linnet-init net`. Printable, as it goes to the
/// console.
fn name(arguments: &[u8]) -> String {
    let mut words = arguments.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let role = words.next().filter(|word| word.starts_with(|it: char| it.is_ascii_lowercase()));
    let whole = role.map_or_else(|| program.clone(), |role| format!("{program} {role}"));
    whole.chars().filter(|it| it.is_ascii_graphic() || *it == ' ').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(proc: &Path, pid: &str, pss: &str, arguments: &[u8]) {
        let folder = proc.join(pid);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("smaps_rollup"), pss).unwrap();
        fs::write(folder.join("cmdline"), arguments).unwrap();
    }

    #[test]
    fn shares_are_listed_largest_first_with_their_sum_and_without_the_kernels_threads() {
        let proc = tempfile::tempdir().unwrap();
        add(
            proc.path(),
            "1",
            "00 ---p [rollup]\nRss: 9 kB\nPss:    100 kB\n",
            b"/sbin/linnet-init\0",
        );
        add(proc.path(), "7", "Pss: 250 kB\n", b"/proc/self/exe\0net\0linnet\0");
        add(proc.path(), "2", "", b"");
        add(proc.path(), "sys", "Pss: 1 kB\n", b"x\0");
        let expected =
            ["memory: 250 KiB exe net", "memory: 100 KiB linnet-init", "memory: 350 KiB together"];
        assert_eq!(lines(proc.path()), expected);
    }

    #[test]
    fn names_stay_printable_and_options_are_no_role() {
        assert_eq!(name(b"/usr/bin/linnetd\0--data\0/data\0"), "linnetd");
        assert_eq!(name(b"a\x1b[2Jb\0"), "a[2Jb");
        assert_eq!(name(b""), "");
    }

    #[test]
    fn machine_that_runs_this_test_has_processes() {
        assert!(lines(Path::new("/proc")).len() > 1);
    }
}
