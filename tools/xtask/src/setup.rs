//! What each verb needs on this machine, and its installation. Every verb asks here first; what is
//! missing is named with its package and its purpose, then installed with apt on Debian and Ubuntu
//! (through sudo when not root). With `--no-install` it is only listed.

mod apt;
mod node;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

pub(crate) use node::node_path;

/// A verb of this tool, as far as its needs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Emulate,
    Test,
    Screenshots,
    Image,
    Vm,
}

/// One line of the table: how to see that it is there, where it comes from, what for.
struct Need {
    tool: &'static str,
    check: Check,
    package: &'static str,
    /// Only the backports of the machine's release carry a version that is new enough.
    backports: bool,
    why: &'static str,
    verbs: &'static [Verb],
}

enum Check {
    /// A program on the PATH.
    Program,
    /// A program on the PATH whose `--version` shows at least this major version.
    Major(u32),
    /// A command that succeeds.
    Succeeds(&'static [&'static str]),
    /// A file of a package that has no program.
    File(&'static str),
}

const ALL: &[Verb] = &[Verb::Emulate, Verb::Test, Verb::Screenshots, Verb::Image, Verb::Vm];
const BUILDROOT: &[Verb] = &[Verb::Image];
/// A card is packed for the emulator and for release.
const PACK: &[Verb] = &[Verb::Emulate, Verb::Test, Verb::Image, Verb::Vm];
const VM: &[Verb] = &[Verb::Emulate, Verb::Test, Verb::Vm];
const NETWORK: &[Verb] = &[Verb::Test, Verb::Vm];
const BROWSER: &[Verb] = &[Verb::Test, Verb::Screenshots];

const NEEDS: &[Need] = &[
    Need {
        tool: "qemu-system-aarch64",
        check: Check::Major(10),
        package: "qemu-system-arm",
        backports: true,
        why: "emulates the Pi; 10.0 is the first with a usable raspi4b",
        verbs: VM,
    },
    Need {
        tool: "aarch64-linux-gnu-gcc",
        check: Check::Program,
        package: "gcc-aarch64-linux-gnu",
        backports: false,
        why: "links the programs for the Pi",
        verbs: PACK,
    },
    Need {
        tool: "arm64 C library headers",
        check: Check::File("/usr/aarch64-linux-gnu/include/stdio.h"),
        package: "libc6-dev-arm64-cross",
        backports: false,
        why: "C parts of the programs for the Pi",
        verbs: PACK,
    },
    Need {
        tool: "mksquashfs",
        check: Check::Program,
        package: "squashfs-tools",
        backports: false,
        why: "packs the read-only root",
        verbs: PACK,
    },
    Need {
        tool: "fdtput",
        check: Check::Program,
        package: "device-tree-compiler",
        backports: false,
        why: "tells the emulated kernel which slot was started",
        verbs: VM,
    },
    Need {
        tool: "e2fsck",
        check: Check::File("/usr/sbin/e2fsck"),
        package: "e2fsprogs",
        backports: false,
        why: "checks the card's data after a power cut",
        verbs: VM,
    },
    Need {
        tool: "dnsmasq",
        check: Check::File("/usr/sbin/dnsmasq"),
        package: "dnsmasq-base",
        backports: false,
        why: "gives addresses in the emulated network",
        verbs: NETWORK,
    },
    Need {
        tool: "ip",
        check: Check::File("/sbin/ip"),
        package: "iproute2",
        backports: false,
        why: "builds the emulated network",
        verbs: NETWORK,
    },
    Need {
        tool: "python3 with venv",
        check: Check::Succeeds(&["python3", "-c", "import ensurepip, venv"]),
        package: "python3-venv",
        backports: false,
        why: "fetches tools from PyPI: Node where it is too old, the test client's WebSocket",
        verbs: ALL,
    },
    Need {
        tool: "chromium",
        check: Check::Program,
        package: "chromium",
        backports: false,
        why: "runs the web client's tests",
        verbs: BROWSER,
    },
    Need {
        tool: "Chinese font",
        check: Check::File("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
        package: "fonts-noto-cjk",
        backports: false,
        why: "shows Chinese in the web client's tests and screenshots",
        verbs: BROWSER,
    },
    Need {
        tool: "emoji font",
        check: Check::File("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"),
        package: "fonts-noto-color-emoji",
        backports: false,
        why: "shows emoji in the web client's screenshots",
        verbs: BROWSER,
    },
    Need {
        tool: "certutil",
        check: Check::Program,
        package: "libnss3-tools",
        backports: false,
        why: "lets a test browser trust the box's certificate",
        verbs: BROWSER,
    },
    Need {
        tool: "bison",
        check: Check::Program,
        package: "bison",
        backports: false,
        why: "parses kernel and device tree grammars for Buildroot",
        verbs: BUILDROOT,
    },
    Need {
        tool: "flex",
        check: Check::Program,
        package: "flex",
        backports: false,
        why: "scans them",
        verbs: BUILDROOT,
    },
    Need {
        tool: "gperf",
        check: Check::Program,
        package: "gperf",
        backports: false,
        why: "makes tables for Buildroot's packages",
        verbs: BUILDROOT,
    },
    Need {
        tool: "patchelf",
        check: Check::Program,
        package: "patchelf",
        backports: false,
        why: "makes library paths of what Buildroot builds relative",
        verbs: BUILDROOT,
    },
    Need {
        tool: "pkg-config",
        check: Check::Program,
        package: "pkgconf",
        backports: false,
        why: "finds libraries for Buildroot's packages",
        verbs: BUILDROOT,
    },
    Need {
        tool: "bc",
        check: Check::Program,
        package: "bc",
        backports: false,
        why: "computes constants of the kernel",
        verbs: BUILDROOT,
    },
    Need {
        tool: "rsync",
        check: Check::Program,
        package: "rsync",
        backports: false,
        why: "copies sources for Buildroot",
        verbs: BUILDROOT,
    },
    Need {
        tool: "cpio",
        check: Check::Program,
        package: "cpio",
        backports: false,
        why: "asked for by Buildroot",
        verbs: BUILDROOT,
    },
    Need {
        tool: "unzip",
        check: Check::Program,
        package: "unzip",
        backports: false,
        why: "asked for by Buildroot",
        verbs: BUILDROOT,
    },
    Need {
        tool: "file",
        check: Check::Program,
        package: "file",
        backports: false,
        why: "asked for by Buildroot",
        verbs: BUILDROOT,
    },
    Need {
        tool: "fakeroot",
        check: Check::Program,
        package: "fakeroot",
        backports: false,
        why: "owns files for root without being root",
        verbs: BUILDROOT,
    },
    Need {
        tool: "dpkg-source",
        check: Check::Program,
        package: "dpkg-dev",
        backports: false,
        why: "unpacks sources",
        verbs: BUILDROOT,
    },
    Need {
        tool: "patch",
        check: Check::Program,
        package: "patch",
        backports: false,
        why: "applies the kernel's patches",
        verbs: BUILDROOT,
    },
    Need {
        tool: "make",
        check: Check::Program,
        package: "make",
        backports: false,
        why: "runs Buildroot",
        verbs: BUILDROOT,
    },
    Need {
        tool: "wget",
        check: Check::Program,
        package: "wget",
        backports: false,
        why: "downloads for Buildroot",
        verbs: BUILDROOT,
    },
    Need {
        tool: "gcc",
        check: Check::Program,
        package: "build-essential",
        backports: false,
        why: "compiles Buildroot's own tools",
        verbs: BUILDROOT,
    },
    Need {
        tool: "OpenSSL headers",
        check: Check::File("/usr/include/openssl/bio.h"),
        package: "libssl-dev",
        backports: false,
        why: "reads certificates into the kernel",
        verbs: BUILDROOT,
    },
    Need {
        tool: "depmod",
        check: Check::File("/sbin/depmod"),
        package: "kmod",
        backports: false,
        why: "lists the kernel's modules",
        verbs: BUILDROOT,
    },
];

/// Checks, and unless `install` is off, installs what `verb` needs.
pub(crate) fn ensure(verb: Verb, install: bool) -> Result<()> {
    let missing: Vec<&Need> =
        NEEDS.iter().filter(|need| need.verbs.contains(&verb) && !need.present()).collect();
    if missing.is_empty() {
        return node::ensure(install);
    }
    eprintln!("Missing on this machine:");
    for need in &missing {
        let from = if need.backports { " (backports)" } else { "" };
        eprintln!("  {:<24} package {}{from}: {}", need.tool, need.package, need.why);
    }
    if !install {
        bail!("install these packages, or run without --no-install to have it done");
    }
    let names = |backports: bool| -> Vec<&str> {
        missing.iter().filter(|need| need.backports == backports).map(|n| n.package).collect()
    };
    apt::install(&names(false))?;
    apt::install_from_backports(&names(true))?;
    let still = missing.iter().find(|need| !need.present());
    if let Some(need) = still {
        bail!("{} is still missing or too old after installing {}", need.tool, need.package);
    }
    node::ensure(install)
}

/// Installs one package that a step found missing, saying why.
pub(crate) fn install_package(package: &str, why: &str, install: bool) -> Result<()> {
    eprintln!("Missing on this machine: package {package}: {why}");
    if !install {
        bail!("install the package {package}, or run without --no-install to have it done");
    }
    apt::install(&[package])
}

/// Downloads and unpacked parts live here, outside the tree.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let folder = base.or(home).context("neither XDG_CACHE_HOME nor HOME is set")?.join("linnet");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

impl Need {
    fn present(&self) -> bool {
        match self.check {
            Check::Program => on_path(self.tool).is_some(),
            Check::File(path) => Path::new(path).exists(),
            Check::Succeeds(words) => {
                let output = Command::new(words[0]).args(&words[1..]).output();
                output.is_ok_and(|output| output.status.success())
            }
            Check::Major(wanted) => major(self.tool).is_some_and(|major| major >= wanted),
        }
    }
}

/// The program's place, if it is on the PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn major(program: &str) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    first_number(&String::from_utf8_lossy(&output.stdout))
}

/// The first number of the first word that starts with a digit: `... version 10.0.2 (..)` is 10.
fn first_number(text: &str) -> Option<u32> {
    let word =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    word.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_a_programs_own_words() {
        assert_eq!(first_number("QEMU emulator version 10.0.2 (Debian 1:10.0.2)"), Some(10));
        assert_eq!(first_number("QEMU emulator version 7.2.22"), Some(7));
        assert_eq!(first_number("no version"), None);
    }

    #[test]
    fn every_need_names_a_purpose_and_at_least_one_verb() {
        for need in NEEDS {
            assert!(!need.why.is_empty() && !need.verbs.is_empty(), "{}", need.tool);
        }
    }
}
