//! The folder that Buildroot takes the package `linnet` from: the tree's files as git knows them,
//! the built web client, and every crate, so that the build needs no network.

use std::ffi::OsStr;
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

/// What `cargo vendor` says to put into cargo's configuration; kept with the crates.
const USE_VENDORED: &str = "vendored.toml";

/// Where the programs of the card come from; of the rest, only cargo's own files matter to them.
const CARD: &str = "appliance";

fn is_cargos(extension: &OsStr) -> bool {
    extension == "toml" || extension == "lock"
}

/// Puts them together; crates are fetched again only when the lock file changed.
pub(super) fn stage(tree: &Path, folder: &Path) -> Result<Staged> {
    eprintln!("- sources of this workspace");
    fs::create_dir_all(folder)?;
    let lock = fs::read(tree.join(LOCK))?;
    let vendored = fs::read(folder.join(LOCK)).is_ok_and(|kept| kept == lock)
        && folder.join(USE_VENDORED).is_file();
    clear(folder, vendored)?;
    let mut stamp = Stamp::default();
    for file in tracked(tree)? {
        copy(tree, folder, &file)?;
        if file.starts_with(CARD) || file.extension().is_some_and(is_cargos) {
            note(&mut stamp, tree, &file)?;
        }
    }
    copy_folder(&tree.join(CLIENT), &folder.join(CLIENT))?;
    stamp.folder(&tree.join(CLIENT), &[])?;
    if !vendored {
        vendor(tree, folder)?;
    }
    // In the place of the tree's own file, which names developer verbs.
    fs::create_dir_all(folder.join(".cargo"))?;
    fs::copy(folder.join(USE_VENDORED), folder.join(".cargo/config.toml"))?;
    Ok(Staged { folder: folder.to_owned(), stamp: stamp.finish() })
}

fn clear(folder: &Path, keep_crates: bool) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if keep_crates && (name == "vendor" || name == USE_VENDORED) {
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

fn copy(tree: &Path, folder: &Path, file: &Path) -> Result<()> {
    let (from, to) = (tree.join(file), folder.join(file));
    fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    if from.is_symlink() {
        return Ok(std::os::unix::fs::symlink(fs::read_link(&from)?, to)?);
    }
    fs::copy(&from, &to).with_context(|| from.display().to_string())?;
    Ok(())
}

fn note(stamp: &mut Stamp, tree: &Path, file: &Path) -> Result<()> {
    let path = tree.join(file);
    stamp.text(&file.to_string_lossy());
    match path.is_symlink() {
        true => stamp.text(&fs::read_link(&path)?.to_string_lossy()),
        false => stamp.file(&path)?,
    }
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
    // Not quietly: cargo would keep the configuration to itself, too.
    let output = run::cargo(&["vendor", "--locked"])
        .current_dir(tree)
        .arg(&target)
        .output()
        .context("cargo can't be started")?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the crates could not be fetched: {reason}");
    // Where Buildroot copies the folder to is not known here: a relative place.
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.replace(&target.display().to_string(), "vendor");
    ensure!(text.contains("vendored-sources"), "cargo did not say how to use the crates");
    fs::write(folder.join(USE_VENDORED), text)?;
    Ok(())
}
