//! Builds the Pi's programs on this machine. The standard library for aarch64 comes from rustup
//! where it can be fetched, else from Debian's `rustc-web` with its arm64 library unpacked into the
//! cache; the host part of every build stays with the compiler that goes with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use image::apt::{Apt, Scope, Suites, derive, machine_sources};

use crate::setup;

/// Programs that run where no libraries are.
const STATIC: &str = "-C target-feature=+crt-static";
const TARGET: &str = "aarch64-unknown-linux-gnu";
/// `rust-version` of the workspace; a distribution's compiler must not be older.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");
const DEBIAN_COMPILER: &str = "rustc-web";
const DEBIAN_LIBRARY: &str = "libstd-rust-web-dev";

/// How to compile for the Pi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler that runs this tool has the target.
    Own,
    /// Debian's compiler with an unpacked standard library.
    Debian { sysroot: PathBuf },
}

impl Toolchain {
    /// Finds one, fetching what is missing unless `install` is off.
    pub(crate) fn find(install: bool) -> Result<Self> {
        if own_has_target() {
            return Ok(Self::Own);
        }
        let sysroot = setup::cache_folder()?.join("rust-sysroot");
        if installed_version().is_some_and(|version| sysroot_is_for(&sysroot, &version)) {
            return Ok(Self::Debian { sysroot });
        }
        if install && rustup_adds_target() {
            return Ok(Self::Own);
        }
        Self::from_debian(sysroot, install)
    }

    fn from_debian(sysroot: PathBuf, install: bool) -> Result<Self> {
        if installed_version().is_none() {
            let why = "compiles for the Pi (rustup could not fetch its standard library)";
            setup::install_package(DEBIAN_COMPILER, why, install)?;
        }
        let version = installed_version().with_context(|| {
            format!("{DEBIAN_COMPILER} is not installed; run rustup target add {TARGET}")
        })?;
        if !at_least(&version, RUST_VERSION) {
            bail!(
                "{DEBIAN_COMPILER} {version} is older than Rust {RUST_VERSION}, which Linnet \
                 needs; run `rustup target add {TARGET}` where rustup can reach its server"
            );
        }
        unpack_library(&sysroot, &version)?;
        Ok(Self::Debian { sysroot })
    }

    /// Builds the manifest's programs and the initramfs program.
    pub(crate) fn build(&self, tree: &Path) -> Result<Built> {
        let target_folder = tree.join("target/cross");
        let packages = ["-p", "linnet-init", "-p", "linnetd"];
        self.cargo(tree, &target_folder, &packages, "")?;
        let static_folder = self.build_static(tree, &["-p", "linnet-initramfs"])?;
        let program = |folder: &Path, name: &str| folder.join(TARGET).join("emulator").join(name);
        let names = ["linnet-init", "linnetd"];
        let programs = names.map(|name| (name.to_owned(), program(&target_folder, name)));
        Ok(Built { programs: programs.into(), initramfs: static_folder.join("linnet-initramfs") })
    }

    /// Builds packages that need no libraries where they run; returns the folder of the programs.
    pub(crate) fn build_static(&self, tree: &Path, packages: &[&str]) -> Result<PathBuf> {
        let target_folder = tree.join("target/cross-static");
        self.cargo(tree, &target_folder, packages, STATIC)?;
        Ok(target_folder.join(TARGET).join("emulator"))
    }

    fn cargo(
        &self,
        tree: &Path,
        target_folder: &Path,
        packages: &[&str],
        flags: &str,
    ) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .current_dir(tree)
            .args(["build", "--locked", "--profile", "emulator", "--target", TARGET])
            .arg("--target-dir")
            .arg(target_folder)
            .args(packages)
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
            .env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc")
            .env("AR_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-ar");
        self.choose_compiler(&mut command, flags);
        let status = command.status().context("starting cargo")?;
        if !status.success() {
            bail!("the programs for the Pi did not build; the compiler's reason stands above");
        }
        Ok(())
    }

    fn choose_compiler(&self, command: &mut Command, flags: &str) {
        let mut flags = flags.to_owned();
        // With --target, these flags concern the Pi's side only: build scripts and macros keep the
        // compiler's own library.
        if let Self::Debian { sysroot } = self {
            command.env("RUSTC", "/usr/bin/rustc");
            flags = format!("{flags} --sysroot {}", sysroot.display());
        }
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", flags);
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    }
}

/// Where the built programs are.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) programs: BTreeMap<String, PathBuf>,
    pub(crate) initramfs: PathBuf,
}

fn own_has_target() -> bool {
    let output =
        Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&folder).is_dir()
    })
}

fn rustup_adds_target() -> bool {
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "1");
    eprintln!("+ rustup target add {TARGET}");
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success()) && own_has_target()
}

/// Debian's version of its compiler, `1.96.0+dfsg1-1~deb12u2`.
fn installed_version() -> Option<String> {
    let output =
        Command::new("dpkg-query").args(["-W", "-f=${Version}", DEBIAN_COMPILER]).output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !version.is_empty()).then_some(version)
}

fn sysroot_is_for(sysroot: &Path, version: &str) -> bool {
    std::fs::read_to_string(sysroot.join("version")).is_ok_and(|text| text == version)
}

/// Exactly the compiler's version: a library of another build is refused by the compiler.
fn unpack_library(sysroot: &Path, version: &str) -> Result<()> {
    let archives = machine_sources(Path::new("/etc/apt"))?;
    let codename = image::debian::codename()?;
    let want = Suites { codename: &codename, components: "main", backports: false, sources: false };
    let folder = setup::cache_folder()?.join("apt-arm64-rust");
    let apt = Apt::create(&folder, Scope::Arm64, &derive(&archives, want)?)?;
    apt.update()?;
    let unpacked = apt.unpacked(&format!("{DEBIAN_LIBRARY}={version}"))?;
    let library = unpacked.join("usr/lib/rustlib").join(TARGET);
    let place = sysroot.join("lib/rustlib").join(TARGET);
    std::fs::remove_dir_all(sysroot).ok();
    std::fs::create_dir_all(sysroot.join("lib/rustlib"))?;
    std::os::unix::fs::symlink(&library, &place)
        .with_context(|| format!("{} to {}", library.display(), place.display()))?;
    std::fs::write(sysroot.join("version"), version)?;
    Ok(())
}

/// Compares the leading dotted numbers.
fn at_least(version: &str, wanted: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        let leading = text.split(|c: char| c != '.' && !c.is_ascii_digit()).next();
        leading.unwrap_or_default().split('.').map_while(|number| number.parse().ok()).collect()
    };
    numbers(version) >= numbers(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_versions_are_compared_by_their_leading_numbers() {
        assert!(at_least("1.96.0+dfsg1-1~deb12u2", "1.90"));
        assert!(at_least("1.90.0", "1.90"));
        assert!(!at_least("1.85.0+dfsg3-1~deb12u3", "1.90"));
        assert!(!at_least("1.9.0", "1.90"));
    }

    #[test]
    fn a_library_of_another_version_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!sysroot_is_for(folder.path(), "1.96.0"));
        std::fs::write(folder.path().join("version"), "1.96.0").unwrap();
        assert!(sysroot_is_for(folder.path(), "1.96.0"));
        assert!(!sysroot_is_for(folder.path(), "1.97.0"));
    }
}
