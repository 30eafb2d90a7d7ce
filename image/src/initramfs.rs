//! The emulator's initramfs: one static program, the kernel modules and their order, as a cpio
//! archive ("newc", Documentation/driver-api/early-userspace/buffer-format.rst), zstd-compressed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const FILE: u32 = 0o100_755;
const FOLDER: u32 = 0o040_755;
const CONSOLE: u32 = 0o020_600;
/// Major and minor number of `/dev/console`.
const CONSOLE_DEVICE: (u32, u32) = (5, 1);
/// Deeper chains than this don't exist in the kernel's tree; it bounds a loop in bad data.
const DEPENDENCY_DEPTH_MAX: usize = 16;
const COMPRESSION_LEVEL: i32 = 12;

/// Builds the archive: `program` as `/init`, `modules` with all they depend on.
pub fn build(program: &Path, module_folder: &Path, modules: &[String]) -> Result<Vec<u8>> {
    let modules = collect(module_folder, modules)?;
    let list: String = modules.iter().map(|module| format!("{}\n", module.file)).collect();
    let mut archive = Archive::default();
    for folder in ["dev", "modules"] {
        archive.entry(folder, FOLDER, (0, 0), &[]);
    }
    archive.entry("dev/console", CONSOLE, CONSOLE_DEVICE, &[]);
    let program = fs::read(program).with_context(|| program.display().to_string())?;
    archive.entry("init", FILE, (0, 0), &program);
    archive.entry("modules.list", FILE, (0, 0), list.as_bytes());
    for module in &modules {
        archive.entry(&format!("modules/{}", module.file), FILE, (0, 0), &module.bytes);
    }
    Ok(zstd::encode_all(archive.finish().as_slice(), COMPRESSION_LEVEL)?)
}

#[derive(Debug)]
struct Module {
    file: String,
    bytes: Vec<u8>,
}

/// The wanted modules in order, each after what it depends on, each once.
fn collect(folder: &Path, wanted: &[String]) -> Result<Vec<Module>> {
    let paths = index(folder)?;
    let built_in = built_in(folder);
    let mut loaded = Vec::new();
    for name in wanted {
        if !built_in.contains(&normal(name)) {
            add(&mut loaded, &paths, name, 0)?;
        }
    }
    Ok(loaded)
}

fn add(
    loaded: &mut Vec<Module>,
    paths: &HashMap<String, PathBuf>,
    name: &str,
    depth: usize,
) -> Result<()> {
    let name = normal(name);
    let file = format!("{name}.ko");
    if loaded.iter().any(|module| module.file == file) {
        return Ok(());
    }
    if depth > DEPENDENCY_DEPTH_MAX {
        bail!("the dependencies of the kernel module {name} do not end");
    }
    let path = paths.get(&name).with_context(|| format!("the kernel has no module {name}"))?;
    let bytes = read_module(path)?;
    for dependency in depends(&bytes) {
        add(loaded, paths, &dependency, depth + 1)?;
    }
    loaded.push(Module { file, bytes });
    Ok(())
}

/// File names use `-` and `_` freely; the kernel treats them alike.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn index(folder: &Path) -> Result<HashMap<String, PathBuf>> {
    let mut found = HashMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if let Some((stem, "ko" | "ko.xz")) = name.split_once('.') {
                found.insert(normal(stem), entry.path());
            }
        }
    }
    Ok(found)
}

/// What this kernel carries in itself; another series has it as a module.
fn built_in(folder: &Path) -> HashSet<String> {
    let list = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
    let names = list.lines().filter_map(|path| path.rsplit('/').next()?.strip_suffix(".ko"));
    names.map(normal).collect()
}

fn read_module(path: &Path) -> Result<Vec<u8>> {
    let packed = fs::read(path).with_context(|| path.display().to_string())?;
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .with_context(|| path.display().to_string())?;
    Ok(bytes)
}

/// The `depends=` word of a module's `.modinfo` section: zero-terminated, comma-separated.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let text = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(text);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A cpio archive under construction. Inode numbers count up, every time is zero.
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(content.len()).expect("modules are far below 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("names are short");
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(list: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, depends) in list {
            let text = format!("ELF\0license=GPL\0depends={depends}\0name=x\0");
            fs::write(folder.path().join(format!("{name}.ko")), text).unwrap();
        }
        folder
    }

    fn order(folder: &tempfile::TempDir, wanted: &[&str]) -> Result<Vec<String>> {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let found = collect(folder.path(), &wanted)?;
        Ok(found.into_iter().map(|module| module.file).collect())
    }

    #[test]
    fn a_module_comes_after_all_it_depends_on_and_only_once() {
        let folder = modules(&[("ext4", "jbd2,crc16"), ("jbd2", "crc16"), ("crc16", "")]);
        let found = order(&folder, &["ext4", "jbd2"]).unwrap();
        assert_eq!(found, ["crc16.ko", "jbd2.ko", "ext4.ko"]);
    }

    #[test]
    fn dashes_and_underscores_are_alike_and_an_absent_module_is_named() {
        let folder = modules(&[("virtio-rng", "")]);
        assert_eq!(order(&folder, &["virtio_rng"]).unwrap(), ["virtio_rng.ko"]);
        assert!(order(&folder, &["dwc2"]).unwrap_err().to_string().contains("dwc2"));
    }

    #[test]
    fn what_the_kernel_has_built_in_is_not_looked_for() {
        let folder = modules(&[("virtio_blk", "")]);
        let list = "kernel/drivers/virtio/virtio-pci.ko\nkernel/fs/x.ko\n";
        fs::write(folder.path().join("modules.builtin"), list).unwrap();
        assert_eq!(order(&folder, &["virtio_pci", "virtio_blk"]).unwrap(), ["virtio_blk.ko"]);
    }

    #[test]
    fn modules_that_depend_on_each_other_are_an_error() {
        let folder = modules(&[("a", "b"), ("b", "a")]);
        assert!(order(&folder, &["a"]).is_err());
    }

    #[test]
    fn entries_are_aligned_and_the_archive_ends_with_its_trailer() {
        let mut archive = Archive::default();
        archive.entry("init", FILE, (0, 0), b"12345");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[..6], b"070701");
        assert!(bytes.ends_with(b"TRAILER!!!\0\0\0\0"));
    }
}
