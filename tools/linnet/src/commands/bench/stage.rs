//! One part of a run: the load generator works in a thread of its own while the box is asked for
//! its figures.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use linnet::client::{ClientError, Host, Trust, session_tls};
use linnet::profile::Profile;
use load::{Big, Layout, Linnet, Options, Report, Scenario};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use wire::ids::{DeviceToken, RoomId};

use super::figures::{Figures, Probe};
use super::plan::{PAYLOAD_BYTES, seconds_max};

/// Between two looks at the figures: often enough for a part of one second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// For each address of the box to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sessions that connect at once: far below what a box lets one address hold before they signed in.
const CONNECTING: usize = 8;

/// What is loaded.
#[derive(Clone)]
pub(super) struct Target {
    address: SocketAddr,
    trust: Trust,
    tokens: Vec<[u8; 32]>,
    room: u32,
}

/// What one part found.
pub(super) struct Stage {
    pub(super) report: Report,
    pub(super) before: Figures,
    pub(super) after: Figures,
    /// Highest memory and temperature seen.
    pub(super) peak: Figures,
}

impl Target {
    /// Finds the address at which the box answers.
    pub(super) async fn find(
        profile: &Profile,
        tokens: Vec<DeviceToken>,
        room: RoomId,
    ) -> Result<Self> {
        let address = answering(&profile.host).await?;
        let tokens = tokens.into_iter().map(|token| token.0).collect();
        Ok(Self { address, trust: profile.trust()?, tokens, room: room.0 })
    }

    /// Blocks until the load is over.
    fn load(&self, scenario: &Scenario) -> Result<Report> {
        let (tls, name) = session_tls(&self.trust)?;
        let dialect = Linnet::signed_in(self.tokens.clone(), tls, name, PAYLOAD_BYTES);
        let options = Options {
            connect: self.address,
            // Whose figures are told to this caller is the caller's to load.
            allow_address: vec![self.address.ip()],
            processes: 1,
            server_pid: None,
            data: None,
            ca: None,
            payload_bytes: Some(PAYLOAD_BYTES),
            connecting: CONNECTING,
            seconds_max: seconds_max(scenario),
            json: false,
            spin: false,
        };
        let report = load::run(scenario, &dialect, &self.layout(scenario)?, &options)?;
        if !report.is_sound() {
            let reasons = report.reasons.join("; ");
            bail!("messages were lost, came twice or late, or connections broke: {reasons}");
        }
        Ok(report)
    }

    /// Every session is told the same room: all devices belong to its only member.
    fn layout(&self, scenario: &Scenario) -> Result<Layout> {
        let sessions = match scenario {
            Scenario::Idle(it) => it.sessions,
            _ => u32::try_from(self.tokens.len())?,
        };
        let own = vec![self.room; usize::try_from(sessions)?];
        Ok(Layout { sessions, users: sessions, pairs: Vec::new(), big: Big::default(), own })
    }
}

/// Runs one part.
pub(super) async fn run(
    probe: &mut Probe<'_>,
    target: &Target,
    scenario: Scenario,
) -> Result<Stage> {
    let before = probe.look().await?;
    let mut peak = before.clone();
    let target = target.clone();
    let mut load = tokio::task::spawn_blocking(move || target.load(&scenario));
    let report = loop {
        match timeout(LOOK_EVERY, &mut load).await {
            Ok(ended) => break ended.context("the load generator failed")??,
            Err(_) => peak.take_peak(&probe.look().await?),
        }
    };
    let after = probe.look().await?;
    peak.take_peak(&after);
    Ok(Stage { report, before, after, peak })
}

/// The first address of a host that takes connections, as the generator knows addresses only.
async fn answering(host: &Host) -> Result<SocketAddr, ClientError> {
    let unreachable = |cause: String| ClientError::Unreachable { host: host.to_string(), cause };
    let found = lookup_host(host.resolvable()).await;
    for address in found.map_err(|error| unreachable(error.to_string()))? {
        if let Ok(Ok(_)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            return Ok(address);
        }
    }
    Err(unreachable("none of its addresses answers".to_owned()))
}
