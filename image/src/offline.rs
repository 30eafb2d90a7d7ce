//! Debian's packages in the place of Buildroot's downloads, for machines that reach only a Debian
//! archive: source trees, firmware files, a cross toolchain and the machine's own tools, handed to
//! Buildroot by its own override mechanism. The pipeline stays the same; the result is no release.

mod toolchain;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::apt::{Apt, Scope, Suites, derive, machine_sources};
use crate::debian::codename;

const TABLE: &str = include_str!("offline.toml");
const OVERRIDES: &str = include_str!("offline/overrides.mk");
const CONFIG: &str = include_str!("offline/debian.config");
const PATCHELF: &str = include_str!("offline/patchelf.sh");

/// Every file of a tree gets this time: make rules of autotools must not fire because a patch
/// touched one file later than another.
const TREE_TIME: &str = "@1700000000";

/// The patches that a kernel's tree has got, so that a changed one leads to a new tree.
const APPLIED: &str = ".linnet-patches";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kernel: Kernel,
    sources: BTreeMap<String, String>,
    files: Vec<Files>,
    tools: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kernel {
    package: String,
    archive: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    name: String,
    package: String,
    /// Place in Buildroot's source folder to place in the package.
    files: BTreeMap<String, String>,
}

/// The compiler that builds the workspace inside Buildroot.
#[derive(Debug, Clone)]
pub struct Rust {
    pub rustc: PathBuf,
    pub cargo: PathBuf,
    /// Flags for the Pi's side.
    pub flags: String,
}

/// What Buildroot is given.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// For `BR2_PACKAGE_OVERRIDE_FILE`.
    pub overrides: PathBuf,
    /// Lines on top of the defconfig.
    pub config: String,
}

/// Prepares everything in `folder`, which is kept: only what is missing is downloaded and unpacked.
/// `patches` is the folder of the kernel's patches, which Buildroot does not apply to overridden
/// sources. `progress` gets one line per step.
pub fn prepare(
    folder: &Path,
    patches: &Path,
    rust: &Rust,
    progress: &dyn Fn(&str),
) -> Result<Prepared> {
    let table: Table = toml::from_str(TABLE).context("offline.toml")?;
    let apt = apt(folder)?;
    progress("reading Debian's lists of sources");
    apt.update()?;
    let mut trees = BTreeMap::new();
    progress(&format!("kernel: {}", table.kernel.package));
    let (kernel, version) = kernel_tree(folder, &apt, &table.kernel, patches)?;
    trees.insert("LINUX".to_owned(), kernel);
    for (name, source) in &table.sources {
        progress(&format!("sources of {source}"));
        trees.insert(name.clone(), source_tree(folder, &apt, source)?);
    }
    for files in &table.files {
        progress(&format!("files of {}", files.package));
        trees.insert(files.name.clone(), file_tree(folder, &apt, files)?);
    }
    progress("cross toolchain");
    let toolchain = toolchain::make(&folder.join("toolchain"))?;
    let patchelf = folder.join("bin/patchelf");
    write_program(&patchelf, PATCHELF)?;
    let empty = folder.join("empty");
    fs::create_dir_all(&empty)?;
    let mut tools = table.tools;
    tools.insert("HOST_PATCHELF".to_owned(), vec![patchelf.display().to_string()]);
    let overrides = folder.join("overrides.mk");
    fs::write(&overrides, override_file(&trees, &tools, &empty, rust))?;
    let config = CONFIG
        .replace("@OVERRIDES@", &overrides.display().to_string())
        .replace("@DOWNLOADS@", &folder.join("downloads").display().to_string())
        .replace("@TOOLCHAIN@", &toolchain.display().to_string())
        .replace("@KERNEL@", &version);
    Ok(Prepared { overrides, config })
}

fn apt(folder: &Path) -> Result<Apt> {
    let archives = machine_sources(Path::new("/etc/apt"))?;
    let codename = codename()?;
    let want = Suites {
        codename: &codename,
        components: "main non-free-firmware",
        backports: false,
        sources: true,
    };
    Apt::create(&folder.join("apt"), Scope::Machine, &derive(&archives, want)?)
}

/// The patched tree and its version, such as `6.12.117`.
fn kernel_tree(
    folder: &Path,
    apt: &Apt,
    kernel: &Kernel,
    patches: &Path,
) -> Result<(PathBuf, String)> {
    let package = apt.unpacked(&kernel.package)?;
    let name = package.file_name().context("a package has a name")?.to_string_lossy().into_owned();
    let tree = folder.join("trees").join(&name);
    let patches = patches_in(patches)?;
    let applied = texts(&patches)?;
    if !fs::read_to_string(tree.join(APPLIED)).is_ok_and(|kept| kept == applied) {
        fs::remove_dir_all(&tree).ok();
    }
    let half = unpacked_once(&tree, |half| {
        fs::create_dir_all(half)?;
        let archive = package.join(&kernel.archive);
        run(Command::new("tar")
            .args(["--strip-components=1", "-xf"])
            .arg(archive)
            .arg("-C")
            .arg(half))?;
        for patch in &patches {
            let apply = ["--batch", "--silent", "-p1", "-i"];
            run(Command::new("patch").args(apply).arg(patch).arg("-d").arg(half))?;
        }
        Ok(fs::write(half.join(APPLIED), &applied)?)
    });
    half?;
    Ok((tree.clone(), kernel_version(&tree)?))
}

fn patches_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    paths.sort();
    Ok(paths)
}

fn texts(paths: &[PathBuf]) -> Result<String> {
    paths
        .iter()
        .map(|path| fs::read_to_string(path).with_context(|| path.display().to_string()))
        .collect()
}

fn kernel_version(tree: &Path) -> Result<String> {
    let makefile = fs::read_to_string(tree.join("Makefile"))?;
    let value = |name: &str| {
        let line = makefile.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|rest| rest.trim().strip_prefix('='));
        value.map(|value| value.trim().to_owned()).context("the kernel's Makefile has no version")
    };
    Ok(format!("{}.{}.{}", value("VERSION")?, value("PATCHLEVEL")?, value("SUBLEVEL")?))
}

/// A Debian source package, unpacked with its patches.
fn source_tree(folder: &Path, apt: &Apt, source: &str) -> Result<PathBuf> {
    let downloads = folder.join("sources").join(source);
    fs::create_dir_all(&downloads)?;
    let mut get = apt.command("apt-get");
    // One package a call: a gap in the archive then names the package.
    run(get.args(["source", "--download-only", "-q", source]).current_dir(&downloads))?;
    let description = newest_with(&downloads, "dsc")?;
    let name = description.file_stem().context("a .dsc has a name")?.to_owned();
    let tree = folder.join("trees").join(name);
    unpacked_once(&tree, |half| {
        run(Command::new("dpkg-source").args(["--no-check", "-x"]).arg(&description).arg(half))?;
        let touch = ["-type", "f", "-exec", "touch", "-h", "-d", TREE_TIME, "{}", "+"];
        run(Command::new("find").arg(half).args(touch))
    })?;
    Ok(tree)
}

/// Files of a binary package, where Buildroot's package looks for them.
fn file_tree(folder: &Path, apt: &Apt, files: &Files) -> Result<PathBuf> {
    let package = apt.unpacked(&files.package)?;
    let name = package.file_name().context("a package has a name")?.to_owned();
    let tree = folder.join("trees").join(name);
    unpacked_once(&tree, |half| {
        for (target, source) in &files.files {
            let target = half.join(target);
            fs::create_dir_all(target.parent().unwrap_or(half))?;
            // Links are followed: what they lead to may not be on the list.
            let source = package.join(source);
            fs::copy(&source, &target).with_context(|| source.display().to_string())?;
        }
        Ok(())
    })?;
    Ok(tree)
}

/// Unpacks beside the target and renames, so that a half-unpacked tree is never used.
fn unpacked_once(tree: &Path, unpack: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if tree.is_dir() {
        return Ok(());
    }
    let half = tree.with_extension("part");
    fs::remove_dir_all(&half).ok();
    fs::create_dir_all(tree.parent().context("a tree lies in a folder")?)?;
    unpack(&half).with_context(|| format!("unpacking {}", tree.display()))?;
    fs::rename(&half, tree)?;
    Ok(())
}

fn newest_with(folder: &Path, extension: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let wanted = entries.filter(|path| path.extension().is_some_and(|own| own == extension));
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|facts| facts.modified()).ok();
    wanted.max_by_key(changed).with_context(|| format!("apt brought no .{extension}"))
}

fn override_file(
    trees: &BTreeMap<String, PathBuf>,
    tools: &BTreeMap<String, Vec<String>>,
    empty: &Path,
    rust: &Rust,
) -> String {
    let mut sources = String::new();
    for (name, tree) in trees {
        writeln!(sources, "{name}_OVERRIDE_SRCDIR = {}", tree.display()).expect("a String");
    }
    let mut shims = String::new();
    for (name, programs) in tools {
        let programs = programs.join(" ");
        writeln!(shims, "$(eval $(call linnet-shim,{name},{programs}))").expect("a String");
    }
    OVERRIDES
        .replace("@SOURCES@", &sources)
        .replace("@TOOLS@", &shims)
        .replace("@EMPTY@", &empty.display().to_string())
        .replace("@RUSTC@", &rust.rustc.display().to_string())
        .replace("@CARGO@", &rust.cargo.display().to_string())
        .replace("@RUSTFLAGS@", &rust.flags)
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a program lies in a folder")?)?;
    fs::write(path, text).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let output = command.output().with_context(|| format!("{name} can't be started"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_parses_and_every_file_of_it_is_used_by_the_manifest() {
        let table: Table = toml::from_str(TABLE).unwrap();
        assert!(table.sources.contains_key("E2FSPROGS"));
        let manifest = crate::Manifest::load().unwrap();
        for files in &table.files {
            for place in files.files.keys().filter(|place| place.contains("brcmfmac")) {
                let name = place.rsplit('/').next().unwrap();
                let listed = manifest.release.files.iter().any(|file| file.ends_with(name));
                assert!(listed, "{name}");
            }
        }
    }

    #[test]
    fn no_placeholder_is_left_in_what_buildroot_reads() {
        let rust = Rust { rustc: "/r".into(), cargo: "/c".into(), flags: String::new() };
        let trees = [("LINUX".to_owned(), PathBuf::from("/t"))].into();
        let tools = [("HOST_TAR".to_owned(), vec!["/bin/tar".to_owned()])].into();
        let text = override_file(&trees, &tools, Path::new("/e"), &rust);
        assert!(text.contains("\nLINUX_OVERRIDE_SRCDIR = /t\n"), "{text}");
        assert!(text.contains("$(eval $(call linnet-shim,HOST_TAR,/bin/tar))"), "{text}");
        let placeholder = text
            .split_whitespace()
            .find(|word| word.len() > 2 && word.starts_with('@') && word.ends_with('@'));
        assert_eq!(placeholder, None);
    }

    #[test]
    fn a_kernels_version_is_read_from_its_makefile() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\n";
        fs::write(folder.path().join("Makefile"), text).unwrap();
        assert_eq!(kernel_version(folder.path()).unwrap(), "6.12.117");
    }

    #[test]
    fn a_tree_that_did_not_unpack_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("trees/x");
        assert!(unpacked_once(&tree, |_| bail!("broken")).is_err());
        assert!(!tree.exists());
        unpacked_once(&tree, |half| Ok(fs::create_dir_all(half)?)).unwrap();
        unpacked_once(&tree, |_| bail!("not called again")).unwrap();
    }
}
