//! The release's source of parts: the folders that Buildroot built. Files are taken by the
//! manifest's list, a link together with what it leads to; nothing else reaches the card.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::boot::BootParts;
use crate::manifest::Manifest;
use crate::root::Taken;

/// Where modules lie in a merged root.
const MODULES: &str = "usr/lib/modules";

/// Links followed from one listed file: library, its version, its build.
const LINKS_MAX: usize = 4;

/// Buildroot's output of one build.
#[derive(Debug, Clone)]
pub struct Buildroot {
    /// `output/target`.
    pub target: PathBuf,
    /// `output/images`.
    pub images: PathBuf,
    /// The image for development, with a shell.
    pub dev: bool,
}

impl Buildroot {
    /// Files of the root, by the manifest's list.
    pub fn taken(&self, manifest: &Manifest) -> Result<Vec<Taken>> {
        let mut files = BTreeSet::new();
        let dev = manifest.release.dev_files.iter().filter(|_| self.dev);
        let listed = manifest.release.files.iter().chain(dev).cloned();
        for file in listed.chain(self.modules(manifest)?) {
            self.follow(&file, &mut files)?;
        }
        let files = files.into_iter().collect();
        Ok(vec![Taken { folder: self.target.clone(), files }])
    }

    /// Modules with their whole place in the root, in the order in which they are loaded.
    pub fn modules(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let folder = self.target.join(MODULES);
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let releases: Vec<_> = entries.collect::<std::io::Result<_>>()?;
        let [release] = releases.as_slice() else {
            bail!("{} must hold the modules of one kernel; clean the build", folder.display());
        };
        let release = release.file_name().to_string_lossy().into_owned();
        let place = |module: &String| format!("{MODULES}/{release}/kernel/{module}");
        Ok(manifest.release.modules.iter().map(place).collect())
    }

    /// The programs of this workspace.
    pub fn programs(&self, manifest: &Manifest) -> BTreeMap<String, PathBuf> {
        let programs = manifest.root.programs.iter();
        programs.map(|(name, place)| (name.clone(), self.target.join(place))).collect()
    }

    /// Kernel, device tree and firmware.
    pub fn boot_parts(&self, manifest: &Manifest) -> Result<BootParts> {
        let mut parts =
            BootParts { cmdline: manifest.release.cmdline.clone(), ..BootParts::default() };
        for (name, place) in &manifest.release.boot {
            let path = self.images.join(place);
            let bytes = fs::read(&path).with_context(|| {
                format!("Buildroot made no {}; its configuration lacks it", path.display())
            })?;
            parts.files.insert(name.clone(), bytes);
        }
        Ok(parts)
    }

    /// The file, and when it is a link, what it leads to.
    fn follow(&self, file: &str, files: &mut BTreeSet<String>) -> Result<()> {
        let mut file = file.to_owned();
        for _ in 0..LINKS_MAX {
            let path = self.target.join(&file);
            let kind = path.symlink_metadata().with_context(|| {
                format!("Buildroot's target has no {file}, which image.toml lists")
            })?;
            files.insert(file.clone());
            if !kind.is_symlink() {
                return Ok(());
            }
            file = beside(&file, &fs::read_link(&path)?)?;
        }
        bail!("{file} is a chain of more than {LINKS_MAX} links")
    }
}

/// Where a link in `file`'s folder leads, as a path of the root.
fn beside(file: &str, link: &Path) -> Result<String> {
    let mut place = PathBuf::from(file);
    place.pop();
    for component in link.components() {
        match component {
            Component::Normal(name) => place.push(name),
            Component::ParentDir if place.pop() => {}
            Component::CurDir => {}
            _ => bail!("{file} leads out of the root, to {}", link.display()),
        }
    }
    Ok(place.to_string_lossy().into_owned())
}

/// The list that `linnet-init` loads modules by.
pub fn module_list(modules: &[String]) -> String {
    let lines: String = modules.iter().map(|module| format!("/{module}\n")).collect();
    format!(
        "# Modules that linnet-init loads, dependencies first; written with the image.\n{lines}"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn built(files: &[&str]) -> (tempfile::TempDir, Buildroot) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        for file in files {
            let path = target.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let images = folder.path().join("images");
        (folder, Buildroot { target, images, dev: false })
    }

    #[test]
    fn a_link_is_taken_with_what_it_leads_to() {
        let (_folder, built) = built(&["usr/lib/libc.so.6.1", "usr/lib/x/deep"]);
        symlink("libc.so.6.1", built.target.join("usr/lib/libc.so.6")).unwrap();
        symlink("x/../x/deep", built.target.join("usr/lib/link")).unwrap();
        let mut files = BTreeSet::new();
        built.follow("usr/lib/libc.so.6", &mut files).unwrap();
        built.follow("usr/lib/link", &mut files).unwrap();
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        let expected =
            ["usr/lib/libc.so.6", "usr/lib/libc.so.6.1", "usr/lib/link", "usr/lib/x/deep"];
        assert_eq!(files, expected);
    }

    #[test]
    fn a_missing_file_a_loop_and_a_way_out_are_named() {
        let (_folder, built) = built(&["usr/a"]);
        symlink("loop", built.target.join("loop")).unwrap();
        symlink("/etc/passwd", built.target.join("out")).unwrap();
        symlink("../../up", built.target.join("usr/up")).unwrap();
        for (file, word) in
            [("none", "has no none"), ("loop", "chain"), ("out", "out of"), ("usr/up", "out of")]
        {
            let error = built.follow(file, &mut BTreeSet::new()).unwrap_err().to_string();
            assert!(error.contains(word), "{file}: {error}");
        }
    }

    #[test]
    fn modules_are_those_of_the_only_kernel() {
        let (_folder, built) = built(&["usr/lib/modules/6.12.1-linnet/modules.dep"]);
        let manifest = Manifest::load().unwrap();
        let modules = built.modules(&manifest).unwrap();
        assert!(modules[0].starts_with("usr/lib/modules/6.12.1-linnet/kernel/net/"), "{modules:?}");
        assert!(module_list(&modules).contains("\n/usr/lib/modules/6.12.1-linnet/"));
        fs::create_dir(built.target.join("usr/lib/modules/6.12.2")).unwrap();
        assert!(built.modules(&manifest).is_err());
    }
}
