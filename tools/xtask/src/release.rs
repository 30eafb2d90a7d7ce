//! `cargo xtask image`: the release image, from source, by Buildroot. Sources of this workspace are
//! put together in a folder, Buildroot is pinned and checked, and what it built becomes the card
//! image with checksums, size report and bill of materials. A run that was interrupted goes on.

mod buildroot;
mod check;
mod debian;
mod progress;
mod sbom;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use sha2::{Digest, Sha256};

use crate::cross::Toolchain;
use crate::emulate::{build_time_s, client};
use crate::{run, setup};
use buildroot::Build;
use image::keys::Key;
use image::root::Release;

/// What a build takes on 2 cores, measured: 15 min where Debian's toolchain serves; building
/// Buildroot's own toolchain comes on top and was not measured.
const MINUTES: &str = "about 20 minutes on 2 cores with --sources debian; without it the toolchain \
     is built, too: plan an hour or two";
/// Free room that a build needs, in GiB: sources, kernel, toolchain.
const DISK_GIB: u64 = 12;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only prove that configurations, fragments, packages, hooks, manifest and patches are
    /// consistent; needs no Buildroot.
    #[arg(long)]
    check: bool,
    /// Where the packages' sources come from.
    #[arg(long, value_enum, default_value_t = Sources::Upstream)]
    sources: Sources,
    /// Local sources for Buildroot, in its own form (`<PACKAGE>_OVERRIDE_SRCDIR = <folder>`).
    #[arg(long, value_name = "FILE", conflicts_with = "sources")]
    overrides: Option<PathBuf>,
    /// The configuration with a shell on the serial line; never for release.
    #[arg(long)]
    dev: bool,
    /// Folder of results and of the build itself; `out/release` unless given.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Key that signs the update bundle, from `cargo xtask update-key`. Without one, or with
    /// Debian's sources, the result is a test image, named and marked so.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Build jobs at once; the number of processors unless given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Only list what is missing on this machine; install nothing.
    #[arg(long)]
    no_install: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sources {
    /// Buildroot's own downloads, checked by its hashes.
    Upstream,
    /// Debian's packages, where upstream can't be reached. Same pipeline, no release.
    Debian,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let tree = run::root();
    if options.check {
        return check::run(&tree);
    }
    let started = Instant::now();
    setup::ensure(setup::Verb::Image, !options.no_install)?;
    let out = output(&tree, options);
    fs::create_dir_all(&out)?;
    state_needs(&out)?;
    check::run(&tree)?;
    client(&tree)?;
    let key = key(&tree, options)?;
    let tool = image_tool(&tree)?;
    let staged = sources::stage(&tree, &out.join("sources"))?;
    let buildroot = buildroot::checkout()?;
    let config = extra_configuration(&tree, options)?;
    let build = Build {
        buildroot,
        tree: tree.clone(),
        out: out.clone(),
        configuration: if options.dev { "linnet_pi4_dev" } else { "linnet_pi4" },
        extra: config,
        sources: staged,
        tool,
        release: Release {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build_time_s: build_time_s(&tree)?,
            kind: kind(options).to_owned(),
            update_key: key.public(),
        },
        key: key.file().to_owned(),
        jobs: options.jobs.map_or_else(processors, Ok)?,
    };
    build.run()?;
    sbom::write(&build)?;
    build.legal_info()?;
    checksums(&out, &build.name())?;
    report(&out, &build, started)
}

fn output(tree: &Path, options: &Options) -> PathBuf {
    let usual = match (options.dev, options.sources) {
        (true, _) => "out/release-dev",
        (false, Sources::Debian) => "out/release-debian",
        (false, Sources::Upstream) => "out/release",
    };
    options.output.clone().unwrap_or_else(|| tree.join(usual))
}

/// Only what upstream's sources and a key of its maker's went into is a release.
fn kind(options: &Options) -> &'static str {
    match (options.dev, options.sources, &options.key, &options.overrides) {
        (false, Sources::Upstream, Some(_), None) => "release",
        (true, ..) => "dev",
        _ => "test",
    }
}

/// The key that signs.
fn key(tree: &Path, options: &Options) -> Result<Key> {
    let key = match &options.key {
        Some(file) => Key::open(file)?,
        None => Key::of_clone(tree)?,
    };
    if kind(options) == "release" {
        key.check_for_release(tree)?;
    }
    eprintln!("The update bundle is signed with \"{}\".", key.public().fingerprint());
    Ok(key)
}

/// Says what it will take before it starts.
fn state_needs(out: &Path) -> Result<()> {
    let free = free_gib(out)?;
    eprintln!("Building the release image in {}.", out.display());
    eprintln!("It takes {MINUTES}, and {DISK_GIB} GiB of disk; {free} GiB are free.");
    let begun = out.join("build").is_dir();
    if free < DISK_GIB && !begun {
        bail!("{free} GiB are not enough; free some room or name another folder with --output");
    }
    if begun {
        eprintln!("An earlier build is there: what it finished is not done again.");
    }
    Ok(())
}

fn free_gib(folder: &Path) -> Result<u64> {
    let output = std::process::Command::new("df")
        .args(["--output=avail", "--block-size=1G"])
        .arg(folder)
        .output()
        .context("df is missing")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let free = text.lines().last().and_then(|line| line.trim().parse().ok());
    free.context("df did not say how much room is free")
}

fn processors() -> Result<usize> {
    Ok(std::thread::available_parallelism()?.get())
}

/// The program that Buildroot's hooks call.
fn image_tool(tree: &Path) -> Result<PathBuf> {
    run::succeed(&mut run::cargo(&[
        "build",
        "--release",
        "--locked",
        "--package",
        "linnet-image",
    ]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| tree.join("target"));
    // Buildroot works in folders of its own.
    fs::canonicalize(target.join("release/linnet-image")).context("the program linnet-image")
}

fn extra_configuration(tree: &Path, options: &Options) -> Result<String> {
    if let Some(file) = &options.overrides {
        let file = fs::canonicalize(file).with_context(|| file.display().to_string())?;
        return Ok(format!("BR2_PACKAGE_OVERRIDE_FILE=\"{}\"\n", file.display()));
    }
    match options.sources {
        Sources::Upstream => Ok(String::new()),
        Sources::Debian => {
            let rust = debian::rust(&Toolchain::find(!options.no_install)?)?;
            let folder = setup::cache_folder()?.join("buildroot-debian");
            let patches = tree.join("buildroot-external/patches/linux");
            let say = |line: &str| eprintln!("    {line}");
            Ok(image::offline::prepare(&folder, &patches, &rust, &say)?.config)
        }
    }
}

/// `SHA256SUMS` as `sha256sum --check` reads it.
fn checksums(out: &Path, name: &str) -> Result<()> {
    let mut text = String::new();
    for path in results(out, name)? {
        let mut hash = Sha256::new();
        std::io::copy(&mut fs::File::open(&path)?, &mut hash)?;
        let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        text += &format!("{}  {name}\n", update::hex::encode(&hash.finalize()));
    }
    fs::write(out.join("SHA256SUMS"), text)?;
    Ok(())
}

/// What is published of this build; an earlier one may have left files of another kind or version.
fn results(out: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(out)?.flatten().map(|entry| entry.path());
    let is_result = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file() && file.starts_with(&format!("{name}."))
    };
    let mut paths: Vec<_> = entries.filter(is_result).collect();
    paths.sort();
    Ok(paths)
}

fn report(out: &Path, build: &Build, started: Instant) -> Result<()> {
    let sizes = out.join(format!("{}.sizes.txt", build.name()));
    eprintln!("\n{}", fs::read_to_string(sizes)?);
    for path in results(out, &build.name())? {
        println!("{}", path.display());
    }
    eprintln!(
        "Done in {} min. Flash it with: linnet flash --image …",
        started.elapsed().as_secs() / 60
    );
    Ok(())
}
