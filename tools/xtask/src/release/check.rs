//! `cargo xtask image --check`: everything about a Buildroot build that can be proven without one.
//! A build takes long, so a wrong name must be found here.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::symbols::{Symbols, parse};
use image::{Manifest, audit};

use super::buildroot::{COMMIT, VERSION};

const RELEASE: &str = "buildroot-external/configs/linnet_pi4_defconfig";
const DEV: &str = "buildroot-external/configs/linnet_pi4_dev_defconfig";
const KERNEL: &str = "buildroot-external/board/raspberrypi/pi4/linux.config";
const PATCHES: &str = "buildroot-external/patches/linux";
const PLACE: &str = "$(BR2_EXTERNAL_LINNET_PATH)/";

/// What the development image may have that the release has not.
const DEV_ONLY: &[&str] = &[
    "BR2_PACKAGE_BUSYBOX",
    "BR2_SYSTEM_BIN_SH_NONE",
    "BR2_SYSTEM_BIN_SH_BUSYBOX",
    "BR2_TARGET_GENERIC_GETTY_PORT",
];

/// Without these the card does not start, keep time, stay safe or show itself.
const KERNEL_NEEDS: &[&str] = &[
    "CONFIG_IO_URING",
    "CONFIG_SQUASHFS_ZSTD",
    "CONFIG_EXT4_FS",
    "CONFIG_VFAT_FS",
    "CONFIG_MMC_SDHCI_IPROC",
    "CONFIG_CLK_BCM2835",
    "CONFIG_PM",
    "CONFIG_BCM2835_WDT",
    "CONFIG_RASPBERRYPI_FIRMWARE",
    "CONFIG_BCMGENET",
    "CONFIG_SECCOMP_FILTER",
    "CONFIG_SECURITY_LANDLOCK",
    "CONFIG_PSTORE_RAM",
    "CONFIG_VIRTIO_BLK",
    "CONFIG_VIRTIO_NET",
    "CONFIG_I6300ESB_WDT",
    "CONFIG_PACKET",
    "CONFIG_IPV6",
    "CONFIG_USB_NET_CDCETHER",
    "CONFIG_KEYBOARD_GPIO",
];

/// A named proof.
type Proof = (&'static str, fn(&Path) -> Result<()>);

const PROOFS: &[Proof] = &[
    ("defconfigs parse and name each symbol once", defconfigs),
    ("the development image differs only where it is meant to", dev_differs),
    ("every file that a defconfig names is there", named_files),
    ("the card takes the device tree that is built", device_tree),
    ("the kernel's fragment has what the card needs", kernel),
    ("the pinned kernel's hash is stated", kernel_hash),
    ("packages have a Config.in and a makefile that name each other", packages),
    ("hooks can be run and call what linnet-image knows", hooks),
    (
        "the overlay holds files and links only, none that a program or the release file replaces",
        overlay,
    ),
    ("the manifest lists no file twice", manifest),
    ("patches are whole and touch the driver and its header", patches),
    ("release and commit of Buildroot are pinned", pinned),
];

pub(super) fn run(tree: &Path) -> Result<()> {
    let mut failed = 0;
    for (name, proof) in PROOFS {
        match proof(tree) {
            Ok(()) => println!("ok      {name}"),
            Err(error) => {
                println!("FAILED  {name}: {error:#}");
                failed += 1;
            }
        }
    }
    let passed = PROOFS.len() - failed;
    println!("image check: {passed} passed, {failed} failed");
    ensure!(failed == 0, "the release image's description is inconsistent");
    Ok(())
}

fn symbols(tree: &Path, file: &str) -> Result<Symbols> {
    let text = fs::read_to_string(tree.join(file)).with_context(|| file.to_owned())?;
    parse(&text).with_context(|| file.to_owned())
}

fn defconfigs(tree: &Path) -> Result<()> {
    for file in [RELEASE, DEV] {
        ensure!(symbols(tree, file)?.len() > 20, "{file} is nearly empty");
    }
    let release = symbols(tree, RELEASE)?;
    for (name, value) in [("BR2_REPRODUCIBLE", "y"), ("BR2_DOWNLOAD_FORCE_CHECK_HASHES", "y")] {
        let found = release.get(name).map(String::as_str);
        ensure!(found == Some(value), "{name} must be {value} in a release");
    }
    Ok(())
}

fn dev_differs(tree: &Path) -> Result<()> {
    let (release, dev) = (symbols(tree, RELEASE)?, symbols(tree, DEV)?);
    let names: BTreeSet<_> = release.keys().chain(dev.keys()).collect();
    let value = |symbols: &Symbols, name: &str| symbols.get(name).cloned();
    let differs = |name: &&&String| value(&release, name) != value(&dev, name);
    let strange = names.iter().filter(differs).find(|name| !DEV_ONLY.contains(&name.as_str()));
    ensure!(strange.is_none(), "{} differs", strange.map_or("", |name| name.as_str()));
    ensure!(
        value(&release, "BR2_SYSTEM_BIN_SH_NONE").as_deref() == Some("y"),
        "a release has no shell"
    );
    Ok(())
}

fn named_files(tree: &Path) -> Result<()> {
    for value in symbols(tree, RELEASE)?.values() {
        let Some(place) = value.trim_matches('"').strip_prefix(PLACE) else { continue };
        let path = tree.join("buildroot-external").join(place);
        ensure!(path.exists(), "there is no {}", path.display());
    }
    Ok(())
}

/// Buildroot names the compiled tree after its source.
fn device_tree(tree: &Path) -> Result<()> {
    let release = symbols(tree, RELEASE)?;
    let source = release.get("BR2_LINUX_KERNEL_CUSTOM_DTS_PATH").context("no tree is named")?;
    let source = Path::new(source.trim_matches('"'));
    let built = source.with_extension("dtb");
    let built = built.file_name().context("the tree is a file")?.to_string_lossy();
    let taken: BTreeSet<_> = Manifest::load()?.release.boot.into_values().collect();
    ensure!(taken.contains(&*built), "image.toml takes no {built} into the boot partitions");
    Ok(())
}

fn kernel(tree: &Path) -> Result<()> {
    let symbols = symbols(tree, KERNEL)?;
    for name in KERNEL_NEEDS {
        ensure!(symbols.get(*name).is_some_and(|value| value == "y"), "{name} is not built in");
    }
    Ok(())
}

fn kernel_hash(tree: &Path) -> Result<()> {
    let release = symbols(tree, RELEASE)?;
    let version = release.get("BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE");
    let version = version.context("no kernel version is named")?.trim_matches('"').to_owned();
    let file = format!("linux-{version}.tar.xz");
    for folder in ["linux", "linux-headers"] {
        let path = format!("buildroot-external/patches/{folder}/{folder}.hash");
        let text = fs::read_to_string(tree.join(&path)).with_context(|| path.clone())?;
        let stated = text.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            matches!(words.as_slice(), ["sha256", hash, name] if hash.len() == 64 && *name == file)
        });
        ensure!(stated, "{path} states no hash of {file}");
    }
    Ok(())
}

fn packages(tree: &Path) -> Result<()> {
    let external = tree.join("buildroot-external");
    let sourced = fs::read_to_string(external.join("Config.in"))?;
    for entry in fs::read_dir(external.join("package"))? {
        let folder = entry?.path();
        let name = name_of(&folder);
        let symbol = format!("config BR2_PACKAGE_{}\n", name.to_uppercase().replace('-', "_"));
        let config = fs::read_to_string(folder.join("Config.in")).context(name.clone())?;
        ensure!(config.contains(&symbol), "{name}/Config.in has no {}", symbol.trim());
        ensure!(sourced.contains(&format!("package/{name}/Config.in")), "{name} is not sourced");
        let makefile =
            fs::read_to_string(folder.join(format!("{name}.mk"))).context(name.clone())?;
        ensure!(makefile.contains("-package))"), "{name}.mk evaluates no package");
    }
    Ok(())
}

fn hooks(tree: &Path) -> Result<()> {
    let tool = fs::read_to_string(tree.join("image/src/main.rs"))?;
    for (hook, verb) in [("post-build", "PostBuild"), ("post-image", "PostImage")] {
        let path = tree.join(format!("buildroot-external/board/raspberrypi/pi4/{hook}.sh"));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(text.contains(&format!("exec \"$LINNET_IMAGE\" {hook} ")), "{hook}.sh calls else");
        ensure!(tool.contains(&format!("    {verb} {{")), "linnet-image does not know {hook}");
        let mode = fs::metadata(&path)?.permissions().mode();
        ensure!(mode & 0o111 == 0o111, "{hook}.sh can't be run");
    }
    Ok(())
}

fn overlay(tree: &Path) -> Result<()> {
    let folder = tree.join("overlay");
    let mut files = Vec::new();
    audit::collect(&folder, "", &mut files)?;
    ensure!(files.len() > 3, "the overlay is nearly empty");
    let manifest = Manifest::load()?;
    let generated = ["etc/linnet-release"].into_iter().map(str::to_owned);
    let taken: BTreeSet<String> =
        manifest.root.programs.values().cloned().chain(generated).collect();
    for file in files {
        let kind = folder.join(&file).symlink_metadata()?.file_type();
        ensure!(kind.is_file() || kind.is_symlink(), "overlay/{file} is no file");
        ensure!(!taken.contains(&file), "overlay/{file} is written by the image itself");
    }
    Ok(())
}

fn manifest(_: &Path) -> Result<()> {
    let manifest = Manifest::load()?;
    let mut seen = BTreeSet::new();
    let all = manifest.release.files.iter().chain(&manifest.release.modules);
    let all = all.chain(&manifest.release.dev_files);
    for file in all.chain(manifest.root.programs.values()) {
        ensure!(seen.insert(file), "image.toml lists {file} twice");
        ensure!(!file.starts_with('/') && !file.contains(".."), "{file} is no place in the root");
    }
    for name in &manifest.boot.files {
        let known = manifest.release.boot.contains_key(name);
        let optional = manifest.boot.optional.contains(name);
        ensure!(known || optional, "the release has no source of the boot file {name}");
    }
    Ok(())
}

/// Counts of every hunk fit, so that the patch is whole; whether it applies shows in the build.
fn patches(tree: &Path) -> Result<()> {
    let mut touched = BTreeSet::new();
    for entry in fs::read_dir(tree.join(PATCHES))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = fs::read_to_string(&path)?;
            touched.extend(whole_patch(&text).with_context(|| name_of(&path))?);
        }
    }
    for file in ["drivers/firmware/raspberrypi.c", "include/soc/bcm2835/raspberrypi-firmware.h"] {
        ensure!(touched.contains(file), "no patch touches {file}");
    }
    Ok(())
}

/// Files that a patch changes; an error when a hunk has other lines than its head says.
fn whole_patch(text: &str) -> Result<BTreeSet<String>> {
    let mut touched = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(file) = line.strip_prefix("+++ b/") {
            touched.insert(file.to_owned());
        }
        let Some((mut old, mut new)) = hunk(line) else { continue };
        while old > 0 || new > 0 {
            match lines.next().context("a hunk ends early")?.chars().next() {
                Some('-') if old > 0 => old -= 1,
                Some('+') if new > 0 => new -= 1,
                Some(' ') | None if old > 0 && new > 0 => (old, new) = (old - 1, new - 1),
                Some('\\') => {}
                _ => bail!("a hunk has other lines than its head says: {line}"),
            }
        }
    }
    ensure!(!touched.is_empty(), "it changes no file");
    Ok(touched)
}

/// `@@ -1,2 +3,4 @@` as the numbers of old and new lines.
fn hunk(line: &str) -> Option<(u32, u32)> {
    let mut words = line.strip_prefix("@@ ")?.split(' ');
    let count = |word: &str| match word.split_once(',') {
        Some((_, count)) => count.parse().ok(),
        None => Some(1),
    };
    Some((count(words.next()?)?, count(words.next()?)?))
}

/// The document names the same release as the code.
fn pinned(tree: &Path) -> Result<()> {
    let text = fs::read_to_string(tree.join("buildroot-external/README.md"))?;
    for pin in [VERSION, COMMIT] {
        ensure!(text.contains(pin), "buildroot-external/README.md does not name {pin}");
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_tree_is_consistent() {
        run(&crate::run::root()).unwrap();
    }

    #[test]
    fn a_torn_patch_is_noticed() {
        let patch = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n";
        assert_eq!(whole_patch(patch).unwrap().into_iter().collect::<Vec<_>>(), ["x"]);
        assert!(whole_patch(&patch[..patch.len() - 3]).is_err());
        assert!(whole_patch(&patch.replace("+c", "c")).is_err());
        assert!(whole_patch("no patch").is_err());
    }

    #[test]
    fn a_development_image_that_drifted_from_the_release_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let configs = folder.path().join("buildroot-external/configs");
        fs::create_dir_all(&configs).unwrap();
        let put = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
        put(RELEASE, "BR2_A=y\nBR2_SYSTEM_BIN_SH_NONE=y\n");
        put(DEV, "BR2_A=y\nBR2_PACKAGE_BUSYBOX=y\n");
        dev_differs(folder.path()).unwrap();
        put(DEV, "BR2_SYSTEM_BIN_SH_NONE=y\n");
        let error = dev_differs(folder.path()).unwrap_err().to_string();
        assert!(error.contains("BR2_A differs"), "{error}");
    }
}
