//! The compiler of this machine, as Buildroot's override of its Rust package wants it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use image::offline::Rust;

use crate::cross::Toolchain;

/// The real programs: rustup's own are only signposts, which Buildroot's environment confuses.
pub(super) fn rust(toolchain: &Toolchain) -> Result<Rust> {
    match toolchain {
        Toolchain::Own => {
            let output = Command::new("rustc").args(["--print", "sysroot"]).output();
            let output = output.context("rustc is missing")?;
            let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
            let program = |name: &str| sysroot.join("bin").join(name);
            Ok(Rust { rustc: program("rustc"), cargo: program("cargo"), flags: String::new() })
        }
        Toolchain::Debian { sysroot } => Ok(Rust {
            rustc: "/usr/bin/rustc".into(),
            cargo: PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            flags: format!("--sysroot {}", sysroot.display()),
        }),
    }
}
