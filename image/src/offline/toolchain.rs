//! Debian's cross compiler, arranged as an external toolchain that Buildroot accepts: a copy that
//! finds its parts relative to itself, a folder of headers and libraries of its own, and wrappers
//! that hide the build option by which Buildroot refuses distribution toolchains. C only.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{run, write_program};

const PREFIX: &str = "aarch64-linux-gnu";
const WRAPPER: &str = include_str!("compiler.sh");

/// Binutils that the compiler itself starts.
const INNER: &[&str] = &["as", "ld", "ld.bfd"];
const OUTER: &[&str] = &[
    "as", "ld", "ld.bfd", "ar", "nm", "objcopy", "objdump", "ranlib", "readelf", "strip", "size",
    "strings",
];

/// What would make Buildroot expect OpenMP, sanitizers or transactional memory.
const LEFT_OUT: &[&str] = &[
    "libasan",
    "libgomp",
    "libhwasan",
    "libitm",
    "liblsan",
    "libsanitizer",
    "libtsan",
    "libubsan",
    "omp.h",
    "openacc.h",
    "acc_prof.h",
];

/// Makes it anew unless it is there for this version of the compiler.
pub(super) fn make(folder: &Path) -> Result<PathBuf> {
    let major = major_version()?;
    let place = folder.join(format!("gcc-{major}"));
    if place.is_dir() {
        return Ok(place);
    }
    let half = place.with_extension("part");
    fs::remove_dir_all(&half).ok();
    fs::create_dir_all(half.join("bin"))?;
    compiler(&half, &major)?;
    binutils(&half)?;
    sysroot(&half)?;
    fs::rename(&half, &place)?;
    Ok(place)
}

fn major_version() -> Result<String> {
    let output = Command::new(format!("{PREFIX}-gcc")).arg("-dumpversion").output();
    let output = output.context("the package gcc-aarch64-linux-gnu is missing")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.split('.').next().unwrap_or_default().to_owned();
    // debian.config tells Buildroot the compiler's version.
    if major != "12" {
        bail!("{PREFIX}-gcc is version {version}; this way of building knows Debian 12's, gcc 12");
    }
    Ok(major)
}

fn compiler(place: &Path, major: &str) -> Result<()> {
    let parts = place.join("lib/gcc-cross").join(PREFIX);
    fs::create_dir_all(&parts)?;
    copy(&PathBuf::from(format!("/usr/lib/gcc-cross/{PREFIX}/{major}")), &parts)?;
    let own = parts.join(major);
    leave_out(&own)?;
    leave_out(&own.join("include"))?;
    for tool in ["gcc", "cpp"] {
        let real = place.join(format!("bin/.{tool}-real"));
        fs::copy(format!("/usr/bin/{PREFIX}-{tool}-{major}"), &real)?;
        let wrapper = place.join(format!("bin/{PREFIX}-{tool}"));
        write_program(&wrapper, &WRAPPER.replace("@TOOL@", tool))?;
    }
    for tool in ["ar", "nm", "ranlib"] {
        let from = format!("/usr/bin/{PREFIX}-gcc-{tool}-{major}");
        symlink(from, place.join(format!("bin/{PREFIX}-gcc-{tool}")))?;
    }
    Ok(())
}

fn binutils(place: &Path) -> Result<()> {
    let inner = place.join(PREFIX).join("bin");
    fs::create_dir_all(&inner)?;
    for tool in INNER {
        symlink(format!("/usr/bin/{PREFIX}-{tool}"), inner.join(tool))?;
    }
    for tool in OUTER {
        let name = format!("{PREFIX}-{tool}");
        symlink(format!("/usr/bin/{name}"), place.join("bin").join(name))?;
    }
    Ok(())
}

fn sysroot(place: &Path) -> Result<()> {
    let usr = place.join("sysroot/usr");
    fs::create_dir_all(&usr)?;
    for folder in ["include", "lib"] {
        copy(&PathBuf::from(format!("/usr/{PREFIX}/{folder}")), &usr)?;
    }
    symlink("usr/lib", place.join("sysroot/lib"))?;
    leave_out(&usr.join("lib"))?;
    // A linker script with places of the machine instead of the folder's.
    let script = usr.join("lib/libc.so");
    let text = fs::read_to_string(&script)?;
    fs::write(&script, text.replace(&format!("/usr/{PREFIX}/lib/"), "/usr/lib/"))?;
    Ok(())
}

fn copy(from: &Path, into: &Path) -> Result<()> {
    run(Command::new("cp").arg("-a").args([from, into]))
}

fn leave_out(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if LEFT_OUT.iter().any(|start| name.starts_with(start)) {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir_all(folder.join("sanitizer")).ok();
    Ok(())
}
