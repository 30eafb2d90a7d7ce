//! Kernel modules from /etc/linnet/modules: one absolute path of an uncompressed .ko per line, in
//! the order in which they depend on one another. The release kernel lists those of
//! Wi-Fi, whose firmware lies in the root; the emulator's are loaded by its initramfs.

use std::fs::File;
use std::path::Path;

use rustix::io::Errno;
use rustix::system::finit_module;

use crate::limits::MODULES_MAX;
use crate::smallfile::read_text;

const LIST: &str = "/etc/linnet/modules";

/// Loads them all; returns a sentence for each that failed.
pub(crate) fn load_listed() -> Vec<String> {
    let text = read_text(LIST).unwrap_or_default();
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    listed(&text, &release).iter().filter_map(|path| load(path).err()).collect()
}

/// The paths of a list; `%r` stands for the kernel's release.
fn listed(text: &str, release: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let paths = lines.filter(|line| line.starts_with('/'));
    paths.map(|path| path.replace("%r", release)).take(MODULES_MAX).collect()
}

fn load(path: &str) -> Result<(), String> {
    let file = File::open(Path::new(path))
        .map_err(|error| format!("The kernel module {path} cannot be opened: {error}."))?;
    match finit_module(&file, c"", 0) {
        // The initramfs may have been first.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(format!("The kernel module {path} cannot be loaded: {error}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_takes_absolute_paths_and_skips_the_rest() {
        let text = "# for the emulator\n\n /lib/modules/%r/a.ko \nrelative.ko\n/b.ko\n";
        assert_eq!(listed(text, "6.12"), ["/lib/modules/6.12/a.ko", "/b.ko"]);
        let long = "/x.ko\n".repeat(MODULES_MAX + 9);
        assert_eq!(listed(&long, "").len(), MODULES_MAX);
    }

    #[test]
    fn missing_module_is_a_sentence_and_not_a_stop() {
        assert!(load("/no/such.ko").unwrap_err().contains("/no/such.ko"));
    }
}
