//! `linnet bench`: measures the real box, from outside and with its own figures, and prints what
//! may be shared: no names, no addresses. Says first what it will write, asks, and takes its
//! devices away again whatever happens; the room stays.

mod devices;
mod figures;
mod outcome;
mod plan;
mod stage;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Zoned;
use linnet::client::{Command, Http};
use linnet::profile::{Profile, Profiles};
use wire::ids::RoomId;

use self::devices::Devices;
use self::figures::Probe;
use self::outcome::Outcome;
use self::plan::{Plan, SECONDS_DEFAULT, SECONDS_MAX, SECONDS_MIN};
use self::stage::Target;
use super::feed::Feed;
use super::{ask, print};

#[derive(Args)]
pub(crate) struct Bench {
    /// How long to measure in all.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = SECONDS_DEFAULT,
        value_parser = clap::value_parser!(u64).range(SECONDS_MIN..=SECONDS_MAX)
    )]
    seconds: u64,
    /// Do not ask before writing to the card.
    #[arg(long)]
    yes: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Read your password from stdin instead of asking; it signs the devices in that measure.
    #[arg(long)]
    password_stdin: bool,
}

impl Bench {
    pub(crate) async fn run(self, profiles: &Profiles, profile: &Profile) -> Result<()> {
        let plan = Plan::new(self.seconds);
        // Who may not see the figures learns it here, before anything was made.
        let mut probe = Probe::open(profile).await?;
        eprintln!("{}", plan.announcement());
        if !self.yes && !ask::confirmed("Go on (yes/no)")? {
            bail!("nothing was measured; answer yes, or pass --yes");
        }
        let password = ask::password(self.password_stdin)?;
        let room = make_room(profiles, profile).await?;
        // Held to the end: a second run would take the first one's devices away.
        let _lock = profiles.lock(profile)?;
        let devices = Devices::of(profile);
        let measured = tokio::select! {
            outcome = measure(&plan, profile, &devices, &password, room, &mut probe) => outcome,
            stopped = tokio::signal::ctrl_c() => Err(match stopped {
                Ok(()) => anyhow::anyhow!("stopped; nothing to show"),
                Err(error) => error.into(),
            }),
        };
        let left = "devices named \"linnet bench\" are left: remove them in the settings";
        let removed = devices.remove_all().await.context(left);
        if let Err(error) = &removed {
            eprintln!("linnet: {error:#}");
        }
        let outcome = measured?;
        match self.json {
            true => print::json_line(&outcome)?,
            false => print::line(&outcome.text())?,
        }
        removed.map(drop)
    }
}

/// A group of oneself alone: nobody else hears the load.
async fn make_room(profiles: &Profiles, profile: &Profile) -> Result<RoomId> {
    let name = format!("bench {}", Zoned::now().date());
    let mut feed = Feed::sending(profiles, profile).await?;
    feed.caught_up().await?;
    feed.finish(Command::CreateRoom { name, members: Vec::new() }).await
}

async fn measure(
    plan: &Plan,
    profile: &Profile,
    devices: &Devices<'_>,
    password: &str,
    room: RoomId,
    probe: &mut Probe<'_>,
) -> Result<Outcome> {
    devices.remove_all().await?;
    let tokens = devices.sign_in(password).await?;
    let target = Target::find(profile, tokens, room).await?;
    let start = probe.look().await?;
    eprintln!("1 of 3: sessions that are silent");
    let idle = stage::run(probe, &target, plan.idle()).await?;
    eprintln!("2 of 3: one message at a time");
    let lone = stage::run(probe, &target, plan.lone()).await?;
    eprintln!("3 of 3: as many messages as are taken");
    let durable = stage::run(probe, &target, plan.durable()).await?;
    let version = box_version(profile).await?;
    Ok(Outcome::new(version, &start, &idle, &lone, &durable))
}

#[derive(serde::Deserialize)]
struct Facts {
    version: String,
}

async fn box_version(profile: &Profile) -> Result<String> {
    let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
    let facts: Facts = http.get("/api/facts", None).await?;
    Ok(print::plain(&facts.version).into_owned())
}
