//! What every scenario needs to know: where the server is, how much may be done.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::limits::{
    CONNECTING_DEFAULT, PAYLOAD_BYTES_MAX, PROCESSES_MAX, SECONDS_MAX, SPARE_DESCRIPTORS,
};
use crate::stamp::STAMP_BYTES;

/// Options of every scenario.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address and port of the server.
    #[arg(long, value_name = "ADDR:PORT", global = true, default_value = "127.0.0.1:9443")]
    pub connect: SocketAddr,

    /// An address that is not loopback and may be loaded all the same.
    #[arg(long, value_name = "ADDR", global = true)]
    pub allow_address: Vec<IpAddr>,

    /// Processes to spread the sessions over; each holds as many as it has descriptors.
    #[arg(long, value_name = "N", global = true, default_value_t = 1)]
    pub processes: u32,

    /// The server's process: its processor time, memory and writes are reported.
    #[arg(long, value_name = "PID", global = true)]
    pub server_pid: Option<u32>,

    /// The server's data folder: bytes written to the device under it are reported.
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,

    /// Authority to verify the server by, in PEM; none means that nothing is verified.
    #[arg(long, value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,

    /// Bytes of a message; default: what the scenario is known for.
    #[arg(long, value_name = "BYTES", global = true)]
    pub payload_bytes: Option<usize>,

    /// Most connections between connect and ready at once (a storm takes all at once).
    #[arg(long, value_name = "N", global = true, default_value_t = CONNECTING_DEFAULT)]
    pub connecting: usize,

    /// Looks for news without ever sleeping, on a core of its own: then the server does not pay for
    /// waking the generator up, which costs a send half as much again whenever the generator is
    /// the faster of the two.
    #[arg(long, global = true)]
    pub spin: bool,

    /// Seconds after which a run ends, done or not.
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 600)]
    pub seconds_max: u64,

    /// Prints the report as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Options {
    /// Checks every limit.
    ///
    /// # Errors
    /// What is out of bounds, and what is allowed.
    pub fn check(&self) -> Result<()> {
        let to = self.connect.ip();
        ensure!(
            to.is_loopback() || self.allow_address.contains(&to),
            "{to} is not loopback; load only what is yours, and name it: --allow-address {to}"
        );
        ensure!(
            (1..=PROCESSES_MAX).contains(&self.processes),
            "--processes may be 1 to {PROCESSES_MAX}"
        );
        ensure!(
            (1..=SECONDS_MAX).contains(&self.seconds_max),
            "--seconds-max may be 1 to {SECONDS_MAX}"
        );
        ensure!(self.connecting > 0, "--connecting may not be 0");
        let payload = self.payload_bytes.unwrap_or(STAMP_BYTES);
        ensure!(
            (STAMP_BYTES..=PAYLOAD_BYTES_MAX).contains(&payload),
            "--payload-bytes may be {STAMP_BYTES} to {PAYLOAD_BYTES_MAX}"
        );
        Ok(())
    }

    pub(crate) const fn time_limit(&self) -> Duration {
        Duration::from_secs(self.seconds_max)
    }
}

/// Raises the soft limit of descriptors to the hard one and tells how many sessions fit.
///
/// # Errors
/// When the system refuses.
pub(crate) fn raise_descriptors() -> Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX).saturating_sub(SPARE_DESCRIPTORS))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn check(arguments: &[&str]) -> Result<()> {
        let line = Line::parse_from(std::iter::once(&"load").chain(arguments));
        line.options.check()
    }

    #[test]
    fn only_loopback_is_loaded_unless_named() {
        assert!(check(&[]).is_ok());
        let error = check(&["--connect", "192.0.2.1:80"]).unwrap_err();
        assert!(error.to_string().contains("--allow-address 192.0.2.1"), "{error}");
        assert!(check(&["--connect", "192.0.2.1:80", "--allow-address", "192.0.2.1"]).is_ok());
    }

    #[test]
    fn limits_are_checked() {
        for wrong in [
            ["--processes", "0"],
            ["--processes", "65"],
            ["--seconds-max", "0"],
            ["--seconds-max", "14401"],
            ["--payload-bytes", "15"],
            ["--payload-bytes", "16385"],
            ["--connecting", "0"],
        ] {
            assert!(check(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn descriptors_are_raised_to_the_hard_limit() {
        use rustix::process::{Resource, getrlimit};
        let fit = raise_descriptors().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!(fit > 0);
    }
}
