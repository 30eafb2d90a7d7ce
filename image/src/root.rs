//! Puts the read-only root together in a folder: mount points, overlay, packages' files, programs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use update::bundle::PublicKey;

use crate::manifest::Manifest;

/// Files of one package: its unpacked folder and what to take, by place in a merged `/usr`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Taken {
    pub folder: PathBuf,
    pub files: Vec<String>,
}

/// What the image says about itself in `/etc/linnet-release`.
#[derive(Debug, Clone)]
pub struct Release {
    pub version: String,
    /// Seconds since 1970; the box never takes an earlier time for real.
    pub build_time_s: u64,
    /// `release`, or `test`, `dev`, `emulator` for what must not be published.
    pub kind: String,
    /// Whose updates the box accepts.
    pub update_key: PublicKey,
}

impl Release {
    fn text(&self) -> String {
        let Self { version, build_time_s, kind, update_key } = self;
        format!(
            "version={version}\nbuild_time={build_time_s}\nkind={kind}\nupdate_key={update_key}\n"
        )
    }
}

/// Fills `target`, an empty folder. `programs` maps the manifest's program names to built files.
pub fn stage(
    target: &Path,
    manifest: &Manifest,
    overlay: &Path,
    taken: &[Taken],
    programs: &BTreeMap<String, PathBuf>,
    release: &Release,
) -> Result<()> {
    for folder in &manifest.root.folders {
        fs::create_dir_all(target.join(folder))?;
    }
    for (link, to) in &manifest.root.links {
        symlink(to, target.join(link))?;
    }
    for package in taken {
        take(package, target)?;
    }
    copy_tree(overlay, target).context("the overlay")?;
    for (name, place) in &manifest.root.programs {
        let built = programs.get(name).with_context(|| format!("{name} was not built"))?;
        install(built, &target.join(place))?;
    }
    fs::write(target.join("etc/linnet-release"), release.text())?;
    Ok(())
}

fn take(package: &Taken, target: &Path) -> Result<()> {
    for file in &package.files {
        let source = find(&package.folder, file)?;
        copy_entry(&source, &target.join(file))?;
    }
    Ok(())
}

/// Debian 12's packages still use `/lib` and `/sbin` for what a merged root has under `/usr`.
fn find(folder: &Path, file: &str) -> Result<PathBuf> {
    let unmerged = file.strip_prefix("usr/").unwrap_or(file);
    let found = [file, unmerged].map(|name| folder.join(name));
    found
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
        .with_context(|| format!("{} does not hold {file}", folder.display()))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else if entry.file_name() != ".gitkeep" {
            copy_entry(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_entry(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("{} to {}", from.display(), to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(context)?;
    }
    let kind = from.symlink_metadata().with_context(context)?.file_type();
    if kind.is_symlink() {
        let points_to = fs::read_link(from).with_context(context)?;
        return symlink(points_to, to).with_context(context);
    }
    if !kind.is_file() {
        bail!("{} is neither a file nor a link", from.display());
    }
    fs::copy(from, to).with_context(context)?;
    Ok(())
}

fn install(program: &Path, place: &Path) -> Result<()> {
    fs::copy(program, place)
        .with_context(|| format!("{} to {}", program.display(), place.display()))?;
    fs::set_permissions(place, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_overlay_and_programs_end_up_in_a_merged_root() {
        let work = tempfile::tempdir().unwrap();
        let path = |name: &str| work.path().join(name);
        for folder in ["deb/lib", "overlay/etc", "root"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("deb/lib/libc.so.6"), "libc").unwrap();
        symlink("libc.so.6", path("deb/lib/libc.so")).unwrap();
        fs::write(path("overlay/etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        fs::write(path("program"), "binary").unwrap();
        let manifest = Manifest::load().unwrap();
        let files = vec!["usr/lib/libc.so.6".to_owned(), "usr/lib/libc.so".to_owned()];
        let taken = [Taken { folder: path("deb"), files }];
        let programs = manifest.root.programs.keys();
        let programs = programs.map(|name| (name.clone(), path("program"))).collect();
        let release = Release {
            version: "1.2.3".into(),
            build_time_s: 7,
            kind: "emulator".into(),
            update_key: PublicKey::from_bytes([0x5a; 32]),
        };
        stage(&path("root"), &manifest, &path("overlay"), &taken, &programs, &release).unwrap();
        let text = fs::read_to_string(path("root/etc/linnet-release")).unwrap();
        let key = "5a".repeat(32);
        let wanted = format!("version=1.2.3\nbuild_time=7\nkind=emulator\nupdate_key={key}\n");
        assert_eq!(text, wanted);
        assert_eq!(fs::read_to_string(path("root/lib/libc.so")).unwrap(), "libc");
        assert!(path("root/etc/hosts").is_file());
        let mode = fs::metadata(path("root/usr/bin/linnetd")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn a_file_that_the_package_lacks_is_named() {
        let work = tempfile::tempdir().unwrap();
        let error = find(work.path(), "usr/lib/libc.so.6").unwrap_err();
        assert!(error.to_string().contains("usr/lib/libc.so.6"));
    }
}
