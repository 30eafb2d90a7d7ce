//! One emulated Pi from power-on to power-off: decides through the stand-in, runs QEMU, decides
//! again on every reset of the guest and honours the one-shot flag as the firmware does.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::console::{Console, Line, Waited};
use crate::device_tree;
use crate::machine::{Between, Clock, Machine, Network, Wiring};
use crate::qmp::{End, Qmp};
use crate::standin;

pub(crate) const QEMU: &str = "qemu-system-aarch64";
/// What the kernel prints, even with `quiet`, when it was asked for a trial boot.
const TRYBOOT_MARKER: &str = "reboot: Restarting system with command '0 tryboot'";
/// Lines of the console that an error shows: a panic with its trace.
const RECENT_LINES: usize = 30;
/// After its console closed, QEMU only has to flush and leave.
const EXIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Options {
    pub machine: Machine,
    pub card: PathBuf,
    pub network: Network,
    /// Words added to the card's own command line, such as a health nonce.
    pub cmdline: String,
    pub between: Between,
    pub clock: Clock,
    /// Where QEMU lists what its models lack.
    pub unimplemented_log: Option<PathBuf>,
    /// Show every console line on stdout with this before it.
    pub echo: Option<String>,
}

impl Options {
    /// The card in the machine, a cable that leads nowhere but to QEMU, and nothing special.
    pub fn new(machine: Machine, card: &Path) -> Self {
        Self {
            machine,
            card: card.to_owned(),
            network: Network::Loopback(Vec::new()),
            cmdline: String::new(),
            between: Between::Nothing,
            clock: Clock::Host,
            unimplemented_log: None,
            echo: None,
        }
    }
}

#[derive(Debug)]
pub struct Pi {
    options: Options,
    folder: TempDir,
    running: Running,
    tryboot: bool,
    /// The end that the guest announced where QEMU does not show it.
    said: Option<End>,
    starts: u32,
    /// The console's last lines.
    recent: VecDeque<String>,
}

/// What a look at the console found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    Line(Line),
    Silent,
    /// The guest has switched itself off.
    Off,
}

#[derive(Debug)]
struct Running {
    qemu: Child,
    console: Console,
    monitor: Qmp,
}

impl Pi {
    /// Plugs the power in.
    pub fn power_on(options: Options) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let running = boot(&options, folder.path(), false)?;
        let recent = VecDeque::new();
        Ok(Self { options, folder, running, tryboot: false, said: None, starts: 1, recent })
    }

    /// How often the bootloader has run since the power was plugged in.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    pub fn monitor(&mut self) -> &mut Qmp {
        &mut self.running.monitor
    }

    /// What the console shows until `deadline`. A reset of the guest runs the bootloader again and
    /// goes on with the next start's lines.
    pub fn poll_line(&mut self, deadline: Instant) -> Result<Polled> {
        loop {
            match self.said.take() {
                Some(End::Reset) => self.start_again()?,
                Some(_) => return Ok(Polled::Off),
                None => {}
            }
            match self.running.console.next(deadline) {
                Waited::Line(line) => {
                    self.tryboot |= line.text.contains(TRYBOOT_MARKER);
                    self.said = self.options.machine.end_said_by(&line.text);
                    self.remember(&line.text);
                    return Ok(Polled::Line(line));
                }
                Waited::TimedOut => return Ok(Polled::Silent),
                Waited::Closed if self.ended()? == End::Reset => self.start_again()?,
                Waited::Closed => return Ok(Polled::Off),
            }
        }
    }

    /// The next console line; `None` once the guest has switched itself off.
    pub fn next_line(&mut self, deadline: Instant) -> Result<Option<Line>> {
        match self.poll_line(deadline)? {
            Polled::Line(line) => Ok(Some(line)),
            Polled::Off => Ok(None),
            Polled::Silent => bail!("the emulated Pi printed nothing more in time"),
        }
    }

    fn remember(&mut self, line: &str) {
        if let Some(mark) = &self.options.echo {
            println!("{mark}{line}");
        }
        if self.recent.len() == RECENT_LINES {
            self.recent.pop_front();
        }
        self.recent.push_back(line.to_owned());
    }

    /// The flag is gone before anything is started, as on the board.
    fn start_again(&mut self) -> Result<()> {
        self.stop_qemu()?;
        let tryboot = std::mem::take(&mut self.tryboot);
        self.running = boot(&self.options, self.folder.path(), tryboot)?;
        self.starts += 1;
        Ok(())
    }

    /// Waits for a line that contains `marker`; the machine's end before it is an error, which
    /// shows the console's last lines.
    pub fn wait_for(&mut self, marker: &str, at_most: Duration) -> Result<Line> {
        let found = self.look_for(marker, Instant::now() + at_most);
        found.map_err(|error| {
            let lines: String = self.recent.iter().map(|line| format!("  {line}\n")).collect();
            error.context(format!("the console's last lines:\n{lines}"))
        })
    }

    fn look_for(&mut self, marker: &str, deadline: Instant) -> Result<Line> {
        loop {
            let line =
                self.next_line(deadline).with_context(|| format!("waiting for \"{marker}\""))?;
            match line {
                Some(line) if line.text.contains(marker) => return Ok(line),
                Some(_) => {}
                None => bail!("the emulated Pi switched itself off before \"{marker}\""),
            }
        }
    }

    /// Presses the power key and waits until the guest has switched itself off. QEMU's raspi4b has
    /// no power key, as the board has none: there this pulls the plug.
    pub fn power_off(mut self, at_most: Duration) -> Result<()> {
        if self.options.machine == Machine::Raspi4b {
            return self.stop_qemu().map(drop);
        }
        self.running.monitor.power_key()?;
        let deadline = Instant::now() + at_most;
        while self.next_line(deadline)?.is_some() {}
        Ok(())
    }

    /// Kills QEMU: the guest's page cache is lost, what reached the card file stays. Returns when
    /// the signal had been sent; giving its memory back takes QEMU longer than the guest lives on.
    pub fn kill(mut self) -> Result<Instant> {
        self.stop_qemu()
    }

    fn stop_qemu(&mut self) -> Result<Instant> {
        self.running.qemu.kill()?; // no error when it has left by itself
        let killed_at = Instant::now();
        self.running.qemu.wait()?;
        Ok(killed_at)
    }

    fn ended(&mut self) -> Result<End> {
        let deadline = Instant::now() + EXIT_MAX;
        while self.running.qemu.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("QEMU closed its console but does not leave");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let errors = self.running.errors();
        self.running.monitor.end().with_context(|| format!("QEMU ended by itself: {errors}"))
    }
}

impl Drop for Pi {
    fn drop(&mut self) {
        self.running.qemu.kill().ok();
        self.running.qemu.wait().ok();
        // What nobody waited for tells most when a test failed.
        while let Waited::Line(line) = self.running.console.next(Instant::now()) {
            self.remember(&line.text);
        }
    }
}

impl Running {
    fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stream) = self.qemu.stderr.take() {
            std::io::Read::read_to_string(&mut stream, &mut text).ok();
        }
        text.trim().to_owned()
    }
}

fn boot(options: &Options, folder: &Path, tryboot: bool) -> Result<Running> {
    let card = File::open(&options.card).with_context(|| options.card.display().to_string())?;
    let start = standin::start(&card, tryboot)?;
    let wiring = wire(options, folder, &start)?;
    device_tree::prepare(options.machine, &start, &wiring.device_tree)?;
    let mut qemu = Command::new(QEMU)
        .args(options.machine.arguments(&wiring))
        .process_group(0) // a Ctrl-C at the terminal is for the harness, which powers off cleanly
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("qemu-system-aarch64 is missing; install the package qemu-system-arm")?;
    let console = Console::read(qemu.stdout.take().expect("stdout was asked for as a pipe"));
    let alive = || matches!(qemu.try_wait(), Ok(None));
    match Qmp::connect(&wiring.monitor, alive) {
        Ok(monitor) => Ok(Running { qemu, console, monitor }),
        Err(error) => {
            qemu.kill().ok();
            let output = qemu.wait_with_output()?;
            bail!("{error:#}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
    }
}

fn wire(options: &Options, folder: &Path, start: &standin::Start) -> Result<Wiring> {
    let kernel = folder.join("kernel");
    std::fs::write(&kernel, &start.kernel)?;
    let initramfs = start.initramfs.as_ref().map(|bytes| {
        let path = folder.join("initramfs");
        std::fs::write(&path, bytes).map(|()| path)
    });
    let monitor = folder.join("monitor");
    std::fs::remove_file(&monitor).ok();
    let words = [&start.cmdline, options.machine.cmdline(), &options.cmdline];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    Ok(Wiring {
        kernel,
        initramfs: initramfs.transpose()?,
        device_tree: folder.join("tree.dtb"),
        cmdline: words.join(" "),
        card: options.card.clone(),
        between: options.between.clone(),
        monitor,
        network: options.network.clone(),
        clock: options.clock,
        unimplemented_log: options.unimplemented_log.clone(),
    })
}
