//! A server that runs for a measurement: started with its parent's life as its own, found when it
//! listens, ended by its number.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::card::Card;
use super::limits::{LOG_TAIL_BYTES, START, START_STEP};

/// A running server; it ends with this value.
pub(super) struct Server {
    process: Child,
    log: PathBuf,
    /// Where the generator connects to.
    pub(super) address: SocketAddr,
    /// What the generator is told beyond the usual.
    pub(super) arguments: Vec<String>,
    /// Taken down after the process ended.
    card: Option<Card>,
}

/// What to start.
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) address: SocketAddr,
    pub(super) load_arguments: Vec<String>,
    pub(super) card: Option<Card>,
}

impl Launch {
    /// A program that listens there.
    pub(super) fn new(program: impl Into<PathBuf>, address: SocketAddr) -> Self {
        let (arguments, environment) = (Vec::new(), Vec::new());
        let (load_arguments, card) = (Vec::new(), None);
        let program = program.into();
        Self { program, arguments, environment, address, load_arguments, card }
    }

    /// With these arguments.
    pub(super) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Starts it and waits until it listens.
    pub(super) fn start(self, log: PathBuf) -> Result<Server> {
        let output = File::create(&log)?;
        // Its parent's death ends it, even when nobody is left to end it in order.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(&self.arguments)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("setpriv (util-linux) can't be started")?;
        let (address, arguments) = (self.address, self.load_arguments);
        let mut server = Server { process, log, address, arguments, card: self.card };
        server.wait_until_it_listens()?;
        Ok(server)
    }
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Bytes that its device of its own was given, once all is written; none without one.
    pub(super) fn device_bytes(&self) -> Result<Option<u64>> {
        let Some(card) = &self.card else { return Ok(None) };
        card.settle()?;
        card.bytes_written().map(Some)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < START {
            if let Some(status) = self.process.try_wait()? {
                bail!("ended with {status}: {}", tail(&self.log));
            }
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(START_STEP);
        }
        bail!("does not listen after {} s: {}", START.as_secs(), tail(&self.log))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself already; nothing can be done about anything else.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}

/// An address on loopback where nobody listens.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let launch =
            Launch::new("sh", free_address().unwrap()).with(&["-c", "echo no luck; exit 3"]);
        let error = launch.start(folder.path().join("log")).err().unwrap().to_string();
        assert!(error.contains("no luck") && error.contains('3'), "{error}");
    }
}
