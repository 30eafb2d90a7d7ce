//! The folder that Buildroot takes the package `linnet` from: the tree's files as git knows them,
//! the built web client, and every crate, so that the build needs no network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::emulate::Stamp;
use crate::run;

/// Sources and the fingerprint of all of them.
pub(super) struct Staged {
    pub(super) folder: PathBuf,
    pub(super) stamp: String,
}

/// Written by npm, not known to git.
const CLIENT: &str = "appliance/client/dist";
/// Holds the crates' own checksums, so its change says that a crate changed.
const LOCK: &str = "Cargo.lock";

/// Puts them together; crates are fetched again only when the lock file changed.
pub(super) fn stage(tree: &Path, folder: &Path) -> Result<Staged> {
    eprintln!("- sources of this workspace");
    fs::create_dir_all(folder)?;
    let lock = fs::read(tree.join(LOCK))?;
    let vendored = fs::read(folder.join(LOCK)).is_ok_and(|kept| kept == lock)
        && folder.join(".cargo/config.toml").is_file();
    clear(folder, vendored)?;
    let mut stamp = Stamp::default();
    for file in tracked(tree)? {
        copy(tree, folder, &file, &mut stamp)?;
    }
    copy_folder(&tree.join(CLIENT), &folder.join(CLIENT))?;
    stamp.folder(&tree.join(CLIENT), &[])?;
    if !vendored {
        vendor(tree, folder)?;
    }
    Ok(Staged { folder: folder.to_owned(), stamp: stamp.finish() })
}

fn clear(folder: &Path, keep_crates: bool) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if keep_crates && (name == "vendor" || name == ".cargo") {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Files that git tracks and that are there.
fn tracked(tree: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(tree).output();
    let output = output.context("git is missing")?;
    ensure!(output.status.success(), "this is no git clone: {}", tree.display());
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths = names.map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned()));
    Ok(paths.filter(|path| tree.join(path).symlink_metadata().is_ok()).collect())
}

fn copy(tree: &Path, folder: &Path, file: &Path, stamp: &mut Stamp) -> Result<()> {
    let (from, to) = (tree.join(file), folder.join(file));
    fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    stamp.text(&file.to_string_lossy());
    if from.is_symlink() {
        let points_to = fs::read_link(&from)?;
        stamp.text(&points_to.to_string_lossy());
        return Ok(std::os::unix::fs::symlink(points_to, to)?);
    }
    stamp.file(&from)?;
    fs::copy(&from, &to).with_context(|| from.display().to_string())?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

/// Every crate of the lock file, and the configuration that makes cargo use them.
fn vendor(tree: &Path, folder: &Path) -> Result<()> {
    eprintln!("  fetching the crates of {LOCK}");
    let target = folder.join("vendor");
    fs::remove_dir_all(&target).ok();
    let output = run::cargo(&["vendor", "--locked", "--quiet"])
        .current_dir(tree)
        .arg(&target)
        .output()
        .context("cargo can't be started")?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the crates could not be fetched: {reason}");
    // Where Buildroot copies the folder to is not known here: a relative place.
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.replace(&target.display().to_string(), "vendor");
    fs::create_dir_all(folder.join(".cargo"))?;
    fs::write(folder.join(".cargo/config.toml"), text)?;
    Ok(())
}
