//! The emulator's source of parts: Debian's arm64 packages, downloaded and unpacked into a cache
//! outside the tree, never installed. Not a release: kernel and firmware are the distribution's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::apt::{Apt, Scope, Suites, derive, machine_sources};
use crate::boot::BootParts;
use crate::initramfs;
use crate::manifest::Manifest;
use crate::root::Taken;

/// Debian's security updates come weekly; older parts than this deserve a word.
const DAYS_UNTIL_HINT: u64 = 30;
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Unpacked packages, ready to be put together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Debian {
    pub kernel: PathBuf,
    pub kernel_name: String,
    pub firmware: PathBuf,
    pub root: Vec<Taken>,
}

/// The unpacked packages and what they were chosen by.
#[derive(Serialize, Deserialize)]
struct Kept {
    wanted: String,
    debian: Debian,
}

/// The release this machine runs, from `/etc/os-release`.
pub fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    line.map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no release; this needs Debian or Ubuntu")
}

/// Which of Debian's packages are wanted, and where they are kept.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub manifest: &'a Manifest,
    /// Series of the kernel, one of the manifest's table.
    pub kernel: &'a str,
    pub cache: &'a Path,
}

impl Debian {
    /// What an earlier [`Self::fetch`] unpacked, or a new one when the manifest's list has changed
    /// since or when `newest` asks for it. `progress` gets one line per step.
    pub fn cached(wanted: Wanted<'_>, newest: bool, progress: &dyn Fn(&str)) -> Result<Self> {
        let file = wanted.cache.join(format!("debian-parts-{}.toml", wanted.kernel));
        let list = format!("{} {:?}", codename()?, wanted.manifest.emulator);
        let kept = fs::read_to_string(&file).ok();
        let kept = kept.and_then(|text| toml::from_str::<Kept>(&text).ok());
        if let Some(kept) = kept
            && !newest
            && kept.wanted == list
            && kept.debian.folders().all(Path::is_dir)
        {
            if let Some(days) = age_days(&file).filter(|days| *days > DAYS_UNTIL_HINT) {
                progress(&format!("{days} days old; --fresh-parts looks for newer packages"));
            }
            return Ok(kept.debian);
        }
        let debian = Self::fetch(wanted, progress)?;
        let kept = Kept { wanted: list, debian };
        fs::write(&file, toml::to_string(&kept)?)?;
        Ok(kept.debian)
    }

    /// Downloads and unpacks the newest version of what the manifest names.
    pub fn fetch(wanted: Wanted<'_>, progress: &dyn Fn(&str)) -> Result<Self> {
        let emulator = &wanted.manifest.emulator;
        let archives = machine_sources(Path::new("/etc/apt"))?;
        let codename = codename()?;
        let want = Suites {
            codename: &codename,
            components: "main non-free-firmware",
            backports: false,
            sources: false,
        };
        let folder = wanted.cache.join("apt-arm64");
        let apt = Apt::create(&folder, Scope::Arm64, &derive(&archives, want)?)?;
        progress("reading the lists of Debian's arm64 packages");
        apt.update()?;
        let meta = emulator.meta_package(wanted.kernel)?;
        let kernel_name = kernel_name(&apt.depends(meta)?, wanted.kernel, meta)?;
        progress(&format!("kernel {kernel_name}"));
        let kernel = apt.unpacked(&kernel_name)?;
        let firmware = apt.unpacked(&emulator.firmware_package)?;
        let mut root = Vec::new();
        for package in &emulator.package {
            progress(&package.name);
            let folder = apt.unpacked(&package.name)?;
            root.push(Taken { folder, files: package.files.clone() });
        }
        Ok(Self { kernel, kernel_name, firmware, root })
    }

    /// Every unpacked package; the names carry the versions.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        let root = self.root.iter().map(|taken| taken.folder.as_path());
        [self.kernel.as_path(), self.firmware.as_path()].into_iter().chain(root)
    }

    /// Boot files with an initramfs around `program`.
    pub fn boot_parts(&self, manifest: &Manifest, program: &Path) -> Result<BootParts> {
        let emulator = &manifest.emulator;
        let mut parts = BootParts { cmdline: emulator.cmdline.clone(), ..BootParts::default() };
        let mut put = |name: &str, path: &Path| {
            let bytes = fs::read(path).with_context(|| path.display().to_string());
            bytes.map(|bytes| parts.files.insert(name.to_owned(), bytes))
        };
        for name in &emulator.firmware_files {
            put(name, &self.firmware.join(&emulator.firmware_folder).join(name))?;
        }
        let version = self.kernel_version();
        put("kernel8.img", &self.kernel.join(format!("boot/vmlinuz-{version}")))?;
        let tree = emulator.device_tree.replace("{kernel}", &format!("linux-image-{version}"));
        put("bcm2711-rpi-4-b.dtb", &self.kernel.join(tree))?;
        let modules = self.kernel.join("lib/modules").join(version);
        let initramfs = initramfs::build(program, &modules, &emulator.modules)?;
        parts.files.insert("initramfs.img".to_owned(), initramfs);
        Ok(parts)
    }

    fn kernel_version(&self) -> &str {
        self.kernel_name.trim_start_matches("linux-image-")
    }
}

/// The package behind the meta package. Another release's meta package may lead to another series.
fn kernel_name(depends: &[String], series: &str, meta: &str) -> Result<String> {
    let wanted = format!("linux-image-{series}.");
    let name = depends.iter().find(|name| name.starts_with(&wanted)).cloned();
    name.with_context(|| format!("{meta} of this machine's release names no {series} kernel"))
}

fn age_days(file: &Path) -> Option<u64> {
    let age = fs::metadata(file).ok()?.modified().ok()?.elapsed().ok()?;
    Some(age.as_secs() / SECONDS_A_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_behind_a_meta_package_is_taken_only_from_the_wanted_series() {
        let depends = ["linux-base".to_owned(), "linux-image-6.1.0-44-arm64".to_owned()];
        let name = |series| kernel_name(&depends, series, "linux-image-arm64");
        assert_eq!(name("6.1").unwrap(), "linux-image-6.1.0-44-arm64");
        assert!(name("6.12").unwrap_err().to_string().contains("no 6.12 kernel"));
    }
}
