//! A machine on which a nanosecond of processor time is one instruction: QEMU counts (`-icount
//! shift=0`: every instruction advances the guest's clock by 2^0 ns), one processor, no network.
//! So what the guest's kernel says about a process's time is how many instructions it took, its
//! own and the kernel's on its behalf. Source: QEMU's docs/devel/tcg-icount.rst.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::console::{Console, Waited};
use crate::pi::QEMU;

/// As on the smallest board.
const MEMORY_MIB: &str = "1024";

/// `irqtime=0`: what runs in interrupts, the receiving half of loopback above all, counts for the
/// process that runs (Linux, kernel/time/sched_clock.c). A panic must end the machine at once.
const CMDLINE: &str = "console=ttyAMA0 quiet loglevel=1 irqtime=0 panic=-1";

/// What the machine is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub kernel: &'a Path,
    pub initramfs: &'a Path,
    /// The only disk. What the guest syncs is not synced on the host: a card's time is not counted.
    pub disk: &'a Path,
    /// The clock advances by two to this power of nanoseconds with each instruction; 0 but to see
    /// that all figures double with 1.
    pub shift: u32,
}

/// Runs the machine until it powers off; `line` gets what it prints. It is killed at `deadline`.
pub fn run(parts: &Parts<'_>, deadline: Instant, mut line: impl FnMut(&str)) -> Result<()> {
    let mut command = Command::new(QEMU);
    command.args(arguments(parts)).stdin(Stdio::null()).stdout(Stdio::piped());
    let qemu = command.spawn().with_context(|| format!("{QEMU} can't be started"))?;
    let mut machine = Machine(qemu);
    let console = Console::read(machine.0.stdout.take().expect("stdout was asked for as a pipe"));
    loop {
        match console.next(deadline) {
            Waited::Line(printed) => line(&printed.text),
            Waited::Closed => break,
            Waited::TimedOut => bail!("the counting machine did not end in time"),
        }
    }
    let status = machine.0.wait()?;
    if !status.success() {
        bail!("{QEMU} ended with {status}; its reason stands above");
    }
    Ok(())
}

/// The first line of `--version`, for reports.
pub fn qemu_version() -> Result<String> {
    let output = Command::new(QEMU).arg("--version").output().context(QEMU)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Ends with its value, whatever happens.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn arguments(parts: &Parts<'_>) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let disk = path(parts.disk).replace(',', ",,");
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["-M", "virt", "-cpu", "cortex-a72", "-smp", "1", "-m", MEMORY_MIB]);
    // Idle time passes as on the host: it is not counted, and nothing in the guest times out early.
    add(&["-icount", &format!("shift={},align=off,sleep=on", parts.shift)]);
    add(&["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]);
    add(&["-kernel", &path(parts.kernel), "-initrd", &path(parts.initramfs), "-append", CMDLINE]);
    add(&["-drive", &format!("if=none,id=disk,format=raw,cache=unsafe,file={disk}")]);
    add(&["-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(shift: u32) -> String {
        let path = Path::new("/a,b");
        arguments(&Parts { kernel: path, initramfs: path, disk: path, shift }).join(" ")
    }

    #[test]
    fn one_processor_counts_and_sees_no_network() {
        assert!(line(0).contains("-smp 1 ") && line(0).contains("-icount shift=0,"));
        assert!(line(1).contains("-icount shift=1,"));
        assert!(line(0).contains("-nodefaults") && !line(0).contains("netdev"));
    }

    #[test]
    fn commas_in_paths_do_not_end_an_option() {
        assert!(line(0).contains("file=/a,,b"), "{}", line(0));
    }
}
