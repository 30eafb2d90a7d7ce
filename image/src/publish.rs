//! From Buildroot's output to what is published: the card image in two compressions, the update
//! bundle and the size report. Same code as the emulator's for root, partitions and card.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::keys::Key;
use crate::layout::MIB;
use crate::release::{Buildroot, module_list};
use crate::root::Release;
use crate::size::Report;
use crate::{Manifest, audit, bundle, card, pack, root};

/// Place of init's list of modules.
const MODULE_LIST: &str = "etc/linnet/modules";
/// Written by [`root::stage`].
const RELEASE_FILE: &str = "etc/linnet-release";

/// What is built from and to.
#[derive(Debug)]
pub struct Plan {
    pub buildroot: Buildroot,
    pub overlay: PathBuf,
    /// Folder for the results.
    pub out: PathBuf,
    pub release: Release,
    /// Signs the update bundle.
    pub key: Key,
}

impl Plan {
    /// Name of every result, without its ending.
    pub fn name(&self) -> String {
        file_name(&self.release)
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.out.join(format!("{}.{ending}", self.name()))
    }

    /// Stages the root, audits it, packs it and writes the card. Exceeding a budget is an error.
    pub fn write(&self) -> Result<()> {
        let manifest = Manifest::load()?;
        fs::create_dir_all(&self.out)?;
        let staging = tempfile::tempdir_in(&self.out)?;
        let folder = staging.path().join("root");
        fs::create_dir(&folder)?;
        let allowed = self.stage(&manifest, &folder)?;
        audit::check(&folder, &allowed, self.buildroot.dev)?;
        let boot = self.buildroot.boot_parts(&manifest)?;
        let mut report = Report::gather(&self.release.version, &folder, &boot)?;
        let squashfs = pack::squashfs(&folder, &staging.path().join("root.squashfs"))?;
        within_root_budget(squashfs.len() as u64, &manifest)?;
        let image = self.path("img");
        let layout = card::write(&image, &manifest, &boot, &squashfs)?;
        let parts = bundle::Parts { layout: &layout, boot: &boot, root: &squashfs };
        let (bundle, level) = (self.path("lup"), pack::LEVEL_RELEASE);
        bundle::of_card(&bundle, &manifest, &parts, &self.release, level, &self.key)?;
        let budget = manifest.budget.release_compressed_mib;
        let packed = pack::compress(&image, &self.path("img.zst"), pack::LEVEL_RELEASE, budget)?;
        pack::compress_xz(&image, &self.path("img.xz"))?;
        report.weigh(&manifest, squashfs.len() as u64, packed);
        fs::write(self.path("sizes.txt"), report.text())?;
        fs::write(self.path("sizes.json"), serde_json::to_string_pretty(&report)?)?;
        Ok(())
    }

    /// Fills the root's folder; returns what it may hold.
    fn stage(&self, manifest: &Manifest, folder: &Path) -> Result<BTreeSet<String>> {
        let taken = self.buildroot.taken(manifest)?;
        let programs = self.buildroot.programs(manifest);
        root::stage(folder, manifest, &self.overlay, &taken, &programs, &self.release)?;
        let modules = self.buildroot.modules(manifest)?;
        fs::write(folder.join(MODULE_LIST), module_list(&modules))?;
        drop_group_writing(folder)?;
        let mut allowed: BTreeSet<String> =
            taken.into_iter().flat_map(|taken| taken.files).collect();
        allowed.extend(manifest.root.programs.values().cloned());
        allowed.extend(manifest.root.links.keys().cloned());
        allowed.extend([MODULE_LIST, RELEASE_FILE].map(str::to_owned));
        let mut overlay = Vec::new();
        audit::collect(&self.overlay, "", &mut overlay)?;
        allowed.extend(overlay);
        Ok(allowed)
    }
}

/// What every published file is called, without its ending. Only a release goes without its kind.
pub fn file_name(release: &Release) -> String {
    match release.kind.as_str() {
        "release" => format!("linnet-pi4-{}", release.version),
        kind => format!("linnet-pi4-{}-{kind}", release.version),
    }
}

/// The umask of whoever cloned the tree must not reach the card.
fn drop_group_writing(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type()))?;
        let kind = kind?;
        if kind.is_dir() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            drop_group_writing(&path)?;
        } else if kind.is_file() {
            let mode = fs::metadata(&path)?.permissions().mode();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & !0o022))?;
        }
    }
    Ok(())
}

fn within_root_budget(bytes: u64, manifest: &Manifest) -> Result<()> {
    let budget = manifest.budget.release_root_mib;
    if bytes > budget * MIB {
        bail!(
            "the root has {:.1} MiB, its budget in image.toml is {budget} MiB",
            bytes as f64 / MIB as f64
        );
    }
    Ok(())
}

/// Checks Buildroot's target folder while a failure is still cheap: everything that the manifest
/// lists is there.
pub fn check_target(target: &Path, dev: bool) -> Result<()> {
    let manifest = Manifest::load()?;
    let built = Buildroot { target: target.to_owned(), images: PathBuf::new(), dev };
    built.taken(&manifest)?;
    for (name, path) in built.programs(&manifest) {
        fs::metadata(&path).with_context(|| format!("the package linnet installed no {name}"))?;
    }
    Ok(())
}
