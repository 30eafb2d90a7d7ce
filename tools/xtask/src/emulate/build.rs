//! From the tree to the emulator's card image and update bundle: web client, programs for the Pi,
//! Debian's parts, root, card. Each step is skipped when its input did not change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use image::debian::{Debian, Wanted};
use image::keys::Key;
use image::root::Release;
use image::{Manifest, bundle, card, manifest, pack, root};

use super::stamp::{Stamp, is};
use crate::cross::{Built, Toolchain};
use crate::{run, setup};

/// The image and the fingerprint of all that went into it.
pub(super) struct Image {
    pub(super) path: PathBuf,
    pub(super) stamp: String,
    /// Where everything belonging to this image lies.
    pub(super) folder: PathBuf,
}

/// What the command line says about the image.
pub(super) struct Choice<'a> {
    /// Series of the kernel; the manifest's own unless given.
    pub(super) kernel: Option<&'a str>,
    /// Look for newer Debian packages than those in the cache.
    pub(super) fresh_parts: bool,
    /// Install what is missing on this machine.
    pub(super) install: bool,
}

/// Builds `out/emulator/linnet-emulator.img` and its compressed form; with another kernel than the
/// manifest's in a folder of its own, so that the usual card stays as it is.
pub(super) fn image(tree: &Path, choice: &Choice<'_>) -> Result<Image> {
    let manifest = Manifest::load()?;
    let kernel = choice.kernel.unwrap_or(&manifest.emulator.kernel);
    manifest.emulator.meta_package(kernel)?;
    let out = folder(tree, &manifest, kernel);
    fs::create_dir_all(&out)?;
    step("web client", || client(tree))?;
    let built = step("programs for the Pi", || Toolchain::find(choice.install)?.build(tree))?;
    let cache = setup::cache_folder()?;
    let wanted = Wanted { manifest: &manifest, kernel, cache: &cache };
    let debian = step("Debian's arm64 parts", || {
        Debian::cached(wanted, choice.fresh_parts, &|line| eprintln!("    {line}"))
    })?;
    let path = out.join("linnet-emulator.img");
    let stamp = fingerprint(tree, &built, &debian)?;
    if !is(&out.join("image.stamp"), &stamp) || !path.is_file() {
        step("card image", || write(tree, &out, &path, &manifest, &built, &debian))?;
        fs::write(out.join("image.stamp"), &stamp)?;
    }
    Ok(Image { path, stamp, folder: out })
}

/// An image that was built before, by this tree or another. Its card lies beside the others.
pub(super) fn given(tree: &Path, file: &Path) -> Result<Image> {
    let path = fs::canonicalize(file).with_context(|| file.display().to_string())?;
    let mut stamp = Stamp::default();
    stamp.file(&path)?;
    let folder = tree.join("out/emulator-given");
    fs::create_dir_all(&folder)?;
    Ok(Image { path, stamp: stamp.finish(), folder })
}

fn folder(tree: &Path, manifest: &Manifest, kernel: &str) -> PathBuf {
    match kernel == manifest.emulator.kernel {
        true => tree.join("out/emulator"),
        false => tree.join(format!("out/emulator-{kernel}")),
    }
}

fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("- {name}");
    let started = Instant::now();
    let result = work().with_context(|| format!("step \"{name}\""))?;
    eprintln!("  {name}: {:.1} s", started.elapsed().as_secs_f32());
    Ok(result)
}

/// The client is part of linnetd; its build is npm's.
pub(crate) fn client(tree: &Path) -> Result<()> {
    let folder = tree.join("appliance/client");
    if !folder.join("package.json").is_file() {
        return Ok(());
    }
    let mut stamp = Stamp::default();
    stamp.folder(&folder, &["node_modules", "dist"])?;
    let stamp = stamp.finish();
    let stamp_file = tree.join("out/client.stamp");
    if is(&stamp_file, &stamp) && folder.join("dist/index.html").is_file() {
        return Ok(());
    }
    npm(&["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
    npm(&["run", "--silent", "build"])?;
    fs::create_dir_all(tree.join("out"))?;
    fs::write(stamp_file, stamp)?;
    Ok(())
}

fn npm(arguments: &[&str]) -> Result<()> {
    let status = run::npm(arguments)
        .stdout(std::io::stderr()) // stdout carries results only
        .status()
        .context("npm is missing; install the package npm")?;
    if !status.success() {
        bail!("npm {} failed in appliance/client; its reason stands above", arguments.join(" "));
    }
    Ok(())
}

/// This program, which stands for the code that writes images; there even when a newer
/// one was built meanwhile.
const OWN_PROGRAM: &str = "/proc/self/exe";

fn fingerprint(tree: &Path, built: &Built, debian: &Debian) -> Result<String> {
    let mut stamp = Stamp::default();
    stamp.text(manifest::TEXT);
    stamp.text(&build_time_s(tree)?.to_string());
    stamp.text(&Key::of_clone(tree)?.public().to_string());
    stamp.folder(&tree.join("overlay"), &[])?;
    for program in built.programs.values().chain([&built.initramfs]) {
        stamp.file(program)?;
    }
    stamp.file(Path::new(OWN_PROGRAM))?;
    for folder in debian.folders() {
        stamp.text(&folder.display().to_string());
    }
    Ok(stamp.finish())
}

fn write(
    tree: &Path,
    out: &Path,
    path: &Path,
    manifest: &Manifest,
    built: &Built,
    debian: &Debian,
) -> Result<()> {
    let staging = tempfile::tempdir_in(out)?;
    let folder = staging.path().join("root");
    fs::create_dir(&folder)?;
    let overlay = tree.join("overlay");
    let key = Key::of_clone(tree)?;
    let release = release(tree, &key)?;
    root::stage(&folder, manifest, &overlay, &debian.root, &built.programs, &release)?;
    let squashfs = pack::squashfs(&folder, &staging.path().join("root.squashfs"))?;
    let parts = debian.boot_parts(manifest, &built.initramfs)?;
    let layout = card::write(path, manifest, &parts, &squashfs)?;
    let parts = bundle::Parts { layout: &layout, boot: &parts, root: &squashfs };
    write_bundle(out, manifest, &parts, &release, &key)?;
    let packed = out.join("linnet-emulator.img.zst");
    let budget = manifest.budget.emulator_compressed_mib;
    let bytes = pack::compress(path, &packed, pack::LEVEL_EMULATOR, budget);
    let bytes = bytes.inspect_err(|_| {
        fs::remove_file(path).ok();
    })?;
    eprintln!(
        "    root {:.1} MiB, compressed card {:.1} MiB",
        mib(squashfs.len()),
        mib(bytes as usize)
    );
    Ok(())
}

/// The update bundle of the same parts, signed with this clone's own key.
fn write_bundle(
    out: &Path,
    manifest: &Manifest,
    parts: &bundle::Parts<'_>,
    release: &Release,
    key: &Key,
) -> Result<()> {
    let (path, level) = (out.join("linnet-emulator.lup"), pack::LEVEL_EMULATOR);
    let bytes = bundle::of_card(&path, manifest, parts, release, level, key)?;
    let fingerprint = key.public().fingerprint();
    eprintln!("    update bundle {:.1} MiB, signed with the dev key", mib(bytes as usize));
    eprintln!("    \"{fingerprint}\"");
    Ok(())
}

fn release(tree: &Path, key: &Key) -> Result<Release> {
    Ok(Release {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build_time_s: build_time_s(tree)?,
        kind: "emulator".to_owned(),
        update_key: key.public(),
    })
}

/// `SOURCE_DATE_EPOCH`, else the time of the last commit: equal sources give equal images.
pub(crate) fn build_time_s(tree: &Path) -> Result<u64> {
    if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        return text.parse().context("SOURCE_DATE_EPOCH is not a number of seconds");
    }
    let arguments = ["log", "-1", "--format=%ct"];
    let output = Command::new("git").args(arguments).current_dir(tree).output();
    let output = output.context("git is missing; install it or set SOURCE_DATE_EPOCH")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().context("this is no git clone; set SOURCE_DATE_EPOCH")
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
