//! The server of a step: started, found when it listens, ended with its value.

use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::DISK;
use crate::plan::{LINNET, Step};

/// Where every server listens; one runs at a time.
pub(crate) const ADDRESS: &str = "127.0.0.1:9443";
/// Linnet's web door, which nobody knocks at.
const HTTPS: &str = "127.0.0.1:8443";

/// What the generator is told about the seeded folder, in the step's folder.
pub(crate) const LAYOUT: &str = "layout.json";

/// Accounts of a seeded folder: the largest room of a plan, and a pair for each two of 400.
const AMOUNTS: &[&str] = &["--users", "1000", "--members", "1000", "--pairs", "200"];

/// A frame of the floors: what the generator sends by default.
const FLOOR_FRAME_BYTES: &str = "100";

/// An emulated machine on a busy host makes keys for its certificate first.
const START: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A server's first work after its start (the index of the seeded log, spare segments) must not be
/// divided by the few messages of a step; it takes an emulated processor this long.
const SETTLE: Duration = Duration::from_secs(8);

/// A running server.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself already; nothing can be done about anything else.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seeds a data folder and starts the step's server.
pub(crate) fn start(step: &Step, folder: &Path) -> Result<Server> {
    let data = folder.join("data");
    let mut seed = program("linnet-seed");
    seed.arg("--data").arg(&data).arg("--layout").arg(folder.join(LAYOUT)).args(AMOUNTS);
    let status = seed.status().context("linnet-seed can't be started")?;
    if !status.success() {
        bail!("linnet-seed ended with {status}");
    }
    let log = folder.join("server.txt");
    let mut command = command(step, &data);
    let output = File::create(&log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut server = Server(command.spawn().context("the server can't be started")?);
    wait_until_it_listens(&mut server, &log)?;
    std::thread::sleep(SETTLE);
    Ok(server)
}

fn command(step: &Step, data: &Path) -> Command {
    if step.protocol != LINNET {
        let mut floor = program("linnet-floor");
        floor.args([&step.protocol, "--listen", ADDRESS, "--frame-bytes", FLOOR_FRAME_BYTES]);
        return floor;
    }
    let mut linnet = program("linnetd");
    linnet.arg("--data").arg(data).args(["--listen", HTTPS, "--listen-plain", ADDRESS]);
    linnet.args(["--rings", "1"]).env("LINNET_LOG", "warn");
    linnet
}

fn program(name: &str) -> Command {
    Command::new(Path::new(DISK).join("bin").join(name))
}

fn wait_until_it_listens(server: &mut Server, log: &Path) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < START {
        if let Some(status) = server.0.try_wait()? {
            let words = std::fs::read_to_string(log).unwrap_or_default();
            bail!("the server ended with {status}: {}", words.trim());
        }
        if TcpStream::connect(ADDRESS).is_ok() {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    bail!("the server does not listen after {} s", START.as_secs())
}
