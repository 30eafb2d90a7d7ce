//! Device trees as the firmware hands them over, with what QEMU's models lack taken out. Edited
//! with `fdtput` of the package device-tree-compiler.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine::Machine;
use crate::standin::Start;

/// Nodes of the Pi 4's tree whose devices QEMU 10's raspi4b does not have; their drivers would wait
/// for them or touch memory that is not there.
const ABSENT_NODES: &[&str] = &[
    "/soc/interrupt-controller@7ef00100",
    "/soc/hdmi@7ef00700",
    "/soc/hdmi@7ef05700",
    "/soc/i2c@7ef04500",
    "/soc/i2c@7ef09500",
    "/soc/clock@7ef00000",
    "/gpu",
    "/scb/pcie@7d500000",
    "/scb/ethernet@7d580000",
    "/scb/gpu@7ec00000",
    "/emmc2bus",
    "/soc/mmc@7e300000/wifi@1",
    "/wifi-pwrseq",
];
/// QEMU's card sits where the real board has its radio.
const CARD_NODE: &str = "/soc/mmc@7e300000";
const CARD_PROPERTIES: &[&str] = &["mmc-pwrseq", "non-removable"];
const BOOTLOADER: &str = "/chosen/bootloader";

/// Writes the tree for one start to `path`.
pub fn prepare(machine: Machine, start: &Start, path: &Path) -> Result<()> {
    match machine {
        Machine::Virt => dump(machine, path)?,
        Machine::Raspi4b => {
            std::fs::write(path, &start.device_tree)?;
            remove_absent(path)?;
        }
    }
    fdtput(&["-c", "-p"], path, &[BOOTLOADER])?;
    for (name, value) in [("partition", start.partition), ("tryboot", u32::from(start.tryboot))] {
        fdtput(&["-t", "u"], path, &[BOOTLOADER, name, &value.to_string()])?;
    }
    Ok(())
}

/// The generic board's tree is made by QEMU itself.
fn dump(machine: Machine, path: &Path) -> Result<()> {
    let mut board = machine.board();
    board[1] += &format!(",dumpdtb={}", path.display());
    let output = Command::new(crate::pi::QEMU)
        .args(board)
        .args(["-display", "none", "-nodefaults"])
        .output()
        .context("qemu-system-aarch64 is missing; install the package qemu-system-arm")?;
    if !output.status.success() || !path.is_file() {
        bail!("QEMU made no device tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn remove_absent(path: &Path) -> Result<()> {
    fdtput(&["-r"], path, ABSENT_NODES)?;
    let arguments: Vec<&str> =
        std::iter::once(CARD_NODE).chain(CARD_PROPERTIES.iter().copied()).collect();
    fdtput(&["-d"], path, &arguments)
}

fn fdtput(options: &[&str], path: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("fdtput")
        .args(options)
        .arg(path)
        .args(arguments)
        .output()
        .context("fdtput is missing; install the package device-tree-compiler")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("fdtput {options:?} {arguments:?}: {}", reason.trim());
    }
    Ok(())
}
