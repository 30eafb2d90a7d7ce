//! What Buildroot calls in the middle of a build: checks of its target folder, the card image at
//! its end. Started by the hooks of `buildroot-external`, with what only the caller knows in the
//! environment (see [`Caller`]).
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use linnet_image::keys::Key;
use linnet_image::publish::{Plan, check_target};
use linnet_image::release::Buildroot;
use linnet_image::root::Release;
use linnet_image::symbols;

#[derive(Parser)]
#[command(about = "Card images out of Buildroot's output; `cargo xtask image` calls it")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Everything that image.toml lists is in Buildroot's target folder, and the kernel has every
    /// symbol that was asked for.
    PostBuild { target: PathBuf },
    /// Writes the card image, its compressed forms and the size report.
    PostImage { images: PathBuf },
    /// Compares a fragment with a configuration.
    Symbols { wanted: PathBuf, result: PathBuf },
}

/// What `cargo xtask image` passes through Buildroot.
struct Caller {
    tree: PathBuf,
    out: PathBuf,
    release: Release,
    key: Key,
}

impl Caller {
    fn from_environment() -> Result<Self> {
        let build_time = variable("SOURCE_DATE_EPOCH")?;
        let key = Key::open(&PathBuf::from(variable("LINNET_KEY")?))?;
        Ok(Self {
            tree: variable("LINNET_TREE")?.into(),
            out: variable("LINNET_OUT")?.into(),
            release: Release {
                version: variable("LINNET_RELEASE")?,
                build_time_s: build_time.parse().context("SOURCE_DATE_EPOCH is no number")?,
                kind: variable("LINNET_KIND")?,
                update_key: key.public(),
            },
            key,
        })
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; run cargo xtask image"))
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linnet-image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::PostBuild { target } => {
            check_target(&target, variable("LINNET_KIND")? == "dev")?;
            check_kernel()
        }
        Verb::PostImage { images } => {
            let caller = Caller::from_environment()?;
            let plan = Plan {
                buildroot: Buildroot {
                    target: variable("TARGET_DIR")?.into(),
                    images,
                    dev: caller.release.kind == "dev",
                },
                overlay: caller.tree.join("overlay"),
                out: caller.out,
                release: caller.release,
                key: caller.key,
            };
            plan.write()
        }
        Verb::Symbols { wanted, result } => compare(&wanted, &result),
    }
}

/// Buildroot names the kernel's folder after its version; there is one.
fn check_kernel() -> Result<()> {
    let build = PathBuf::from(variable("BUILD_DIR")?);
    let wanted = PathBuf::from(variable("LINNET_TREE")?)
        .join("buildroot-external/board/raspberrypi/pi4/linux.config");
    let entries = std::fs::read_dir(&build).with_context(|| build.display().to_string())?;
    let is_kernel = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("linux-") && !name.starts_with("linux-headers-")
    };
    let mut kernels = entries.flatten().map(|entry| entry.path()).filter(is_kernel);
    let folder = kernels.next().context("Buildroot has built no kernel")?;
    if let Some(other) = kernels.next() {
        bail!("{} and {} are two kernels; remove the older", folder.display(), other.display());
    }
    compare(&wanted, &folder.join(".config"))
}

fn compare(wanted: &std::path::Path, result: &std::path::Path) -> Result<()> {
    let count = symbols::check(wanted, result)?;
    println!("all {count} kernel symbols survived Kconfig");
    Ok(())
}
