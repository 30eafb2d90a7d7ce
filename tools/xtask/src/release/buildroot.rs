//! Buildroot itself: the pinned release, its configuration, and the build with all that only this
//! tool knows in the environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use image::root::Release;
use image::symbols::{self, Symbols};

use super::progress::Progress;
use super::sources::Staged;
use crate::emulate::{Stamp, is};
use crate::setup;

/// The release, and the commit that its tag leads to: a tag can be moved, a commit can't.
pub(super) const VERSION: &str = "2026.05.1";
pub(super) const COMMIT: &str = "cb857ba4c87a93e5265a9e4a3f32071abf39e14a";
const REPOSITORY: &str = "https://gitlab.com/buildroot.org/buildroot.git";

/// What the kernel is built with, below the external tree.
const BOARD: &str = "board/raspberrypi/pi4";

/// Lines of the log that an error shows.
const LOG_TAIL: usize = 30;

/// Everything a build needs.
pub(super) struct Build {
    pub(super) buildroot: PathBuf,
    pub(super) tree: PathBuf,
    pub(super) out: PathBuf,
    /// Name of the defconfig without its ending.
    pub(super) configuration: &'static str,
    /// Lines on top of it.
    pub(super) extra: String,
    pub(super) sources: Staged,
    pub(super) tool: PathBuf,
    pub(super) release: Release,
    /// File of the key that signs.
    pub(super) key: PathBuf,
    pub(super) jobs: usize,
}

/// `BUILDROOT_DIR`, else a clone in the cache; both are checked.
pub(super) fn checkout() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("BUILDROOT_DIR") {
        let folder = PathBuf::from(folder);
        verify(&folder)?;
        return Ok(folder);
    }
    let folder = setup::cache_folder()?.join(format!("buildroot-{VERSION}"));
    if !folder.is_dir() {
        clone(&folder)?;
    }
    verify(&folder)?;
    Ok(folder)
}

fn clone(folder: &Path) -> Result<()> {
    eprintln!("- fetching Buildroot {VERSION}");
    let half = folder.with_extension("part");
    fs::remove_dir_all(&half).ok();
    let status = Command::new("git")
        .args(["clone", "--quiet", "--depth", "1", "--branch", VERSION, REPOSITORY])
        .arg(&half)
        .status()
        .context("git is missing")?;
    if !status.success() {
        bail!(
            "Buildroot could not be fetched; where its server can't be reached, set BUILDROOT_DIR \
             to a folder with release {VERSION}"
        );
    }
    fs::rename(&half, folder)?;
    Ok(())
}

/// A git checkout must stand at the commit; an unpacked archive must at least be the release.
fn verify(folder: &Path) -> Result<()> {
    let makefile = fs::read_to_string(folder.join("Makefile"))
        .with_context(|| format!("{} is no Buildroot; it has no Makefile", folder.display()))?;
    let release = makefile.lines().find_map(|line| line.strip_prefix("export BR2_VERSION := "));
    let release = release.unwrap_or("unknown").trim();
    let place = folder.display();
    ensure!(release == VERSION, "{place} is Buildroot {release}; this tree needs {VERSION}");
    if !folder.join(".git").exists() {
        eprintln!("- {place} is no git clone, so only its release number was checked");
        return Ok(());
    }
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(folder).output()?;
    let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(commit == COMMIT, "{place} stands at {commit}; {VERSION} is {COMMIT}");
    Ok(())
}

impl Build {
    /// What the results are called, without their endings.
    pub(super) fn name(&self) -> String {
        image::publish::file_name(&self.release)
    }

    /// Buildroot's own folder of this build.
    pub(super) fn folder(&self) -> PathBuf {
        self.out.join("build")
    }

    /// Configures and builds; an error names the package and shows the end of the log.
    pub(super) fn run(&self) -> Result<()> {
        fs::create_dir_all(self.folder())?;
        self.configure()?;
        self.forget_changed()?;
        let log = self.out.join("build.log");
        let mut progress = Progress::begin(&log, &self.targets()?)?;
        let mut make = self.make(&[]);
        let mut child = make.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        progress.follow(&mut child)?;
        let status = child.wait()?;
        if !status.success() {
            let (step, tail) = (progress.last_step(), progress.tail(LOG_TAIL)?);
            bail!("Buildroot failed at \"{step}\":\n{tail}\nThe whole log: {}", log.display());
        }
        progress.finish();
        Ok(())
    }

    /// Writes `.config` and proves that Kconfig took every line.
    fn configure(&self) -> Result<()> {
        eprintln!("- configuration {}", self.configuration);
        let defconfig = self.external().join(format!("configs/{}_defconfig", self.configuration));
        let mut wanted = symbols::parse(&fs::read_to_string(&defconfig)?)?;
        wanted.extend(symbols::parse(&self.extra)?);
        let config = self.folder().join(".config");
        fs::write(&config, render(&wanted))?;
        let output = self.make(&["olddefconfig"]).output()?;
        ensure!(
            output.status.success(),
            "Buildroot refused the configuration: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let result = symbols::parse(&fs::read_to_string(&config)?)?;
        // A place in our tree is written with a variable that Kconfig puts in.
        let external = self.external().display().to_string();
        let resolve = |value: &String| value.replace("$(BR2_EXTERNAL_LINNET_PATH)", &external);
        let resolved = |symbols: &Symbols| -> Symbols {
            symbols.iter().map(|(name, value)| (name.clone(), resolve(value))).collect()
        };
        symbols::survived(&resolved(&wanted), &resolved(&result))
            .context("Buildroot's configuration")
    }

    /// Buildroot does not look for changes in what it has built; we do.
    fn forget_changed(&self) -> Result<()> {
        let mut kernel = Stamp::default();
        let board = ["linux.config", "linnet-pi4.dts"].map(|file| format!("{BOARD}/{file}"));
        for part in board.iter().map(String::as_str).chain(["patches/linux"]) {
            let path = self.external().join(part);
            match path.is_dir() {
                true => kernel.folder(&path, &[])?,
                false => kernel.file(&path)?,
            }
        }
        let stamps = [("linnet", self.sources.stamp.clone()), ("linux", kernel.finish())];
        for (package, stamp) in stamps {
            let file = self.out.join(format!("{package}.stamp"));
            if file.is_file() && !is(&file, &stamp) {
                eprintln!("- {package} changed and is built anew");
                let status = self.make(&[&format!("{package}-dirclean")]).output()?.status;
                ensure!(status.success(), "the earlier build of {package} could not be removed");
            }
            fs::write(file, stamp)?;
        }
        Ok(())
    }

    /// Packages in the order in which they are built, host tools included.
    fn targets(&self) -> Result<Vec<String>> {
        let output = self.make(&["--silent", "show-targets"]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "Buildroot does not list its packages");
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Licences of everything that was built, as far as sources are at hand.
    pub(super) fn legal_info(&self) -> Result<()> {
        eprintln!("- licences");
        let output = self.make(&["legal-info"]).output()?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let reason = text.lines().rev().find(|line| line.contains("***")).unwrap_or("see its log");
        eprintln!("  licences are incomplete, as not every source can be downloaded: {reason}");
        Ok(())
    }

    pub(super) fn show_info(&self) -> Result<serde_json::Value> {
        let output = self.make(&["--silent", "show-info"]).output()?;
        ensure!(output.status.success(), "Buildroot does not describe its packages");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn external(&self) -> PathBuf {
        self.tree.join("buildroot-external")
    }

    /// `make` in Buildroot, without what cargo and this shell put into the environment.
    fn make(&self, arguments: &[&str]) -> Command {
        let mut make = Command::new("make");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().into_owned();
            let ours = text.starts_with("CARGO") || text.starts_with("RUST") || text == "MAKEFLAGS";
            if (ours && text != "RUSTUP_HOME") || text == "LD_LIBRARY_PATH" {
                make.env_remove(name);
            }
        }
        make.arg("--no-print-directory")
            .arg("-C")
            .arg(&self.buildroot)
            .arg(format!("O={}", self.folder().display()))
            .arg(format!("BR2_EXTERNAL={}", self.external().display()))
            .arg(format!("BR2_JLEVEL={}", self.jobs))
            .args(arguments)
            .env("LINNET_SOURCES", &self.sources.folder)
            .env("LINNET_RELEASE", &self.release.version)
            .env("LINNET_KIND", &self.release.kind)
            .env("LINNET_KEY", &self.key)
            .env("LINNET_IMAGE", &self.tool)
            .env("LINNET_TREE", &self.tree)
            .env("LINNET_OUT", &self.out)
            .env("SOURCE_DATE_EPOCH", self.release.build_time_s.to_string())
            .stdin(Stdio::null());
        make
    }
}

fn render(symbols: &Symbols) -> String {
    let line = |(name, value): (&String, &String)| match value.as_str() {
        "n" => format!("# {name} is not set\n"),
        value => format!("{name}={value}\n"),
    };
    symbols.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_release_and_a_folder_that_is_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(verify(folder.path()).unwrap_err().to_string().contains("no Makefile"));
        let makefile = folder.path().join("Makefile");
        fs::write(&makefile, "export BR2_VERSION := 2025.02\n").unwrap();
        let error = verify(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is Buildroot 2025.02"), "{error}");
        fs::write(&makefile, format!("export BR2_VERSION := {VERSION}\n")).unwrap();
        verify(folder.path()).unwrap();
    }

    #[test]
    fn a_clone_at_another_commit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let makefile = format!("export BR2_VERSION := {VERSION}\n");
        fs::write(folder.path().join("Makefile"), makefile).unwrap();
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
            let mut git = Command::new("git");
            let status = git.args(identity).args(arguments).current_dir(folder.path()).status();
            assert!(status.unwrap().success());
        };
        git(&["init", "--quiet"]);
        git(&["add", "Makefile"]);
        git(&["commit", "--quiet", "-m", "another history"]);
        let error = verify(folder.path()).unwrap_err().to_string();
        assert!(error.contains(COMMIT), "{error}");
    }

    #[test]
    fn a_configuration_is_written_as_kconfig_reads_it() {
        let symbols = symbols::parse("BR2_A=y\n# BR2_B is not set\n").unwrap();
        assert_eq!(render(&symbols), "BR2_A=y\n# BR2_B is not set\n");
    }
}
