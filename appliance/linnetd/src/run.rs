//! The thread map: starts every thread, connects them, waits for a signal, ends them in order.
//! Each thread and its queue:
//!
//! | thread | waits on | asks |
//! |---|---|---|
//! | ring-N | its io_uring | core (never waits for it) |
//! | quic | its UDP socket, orders of the core's | core (never waits for it) |
//! | core | events, mailboxes | rings, quic (may wait), disk, index, files (never waits) |
//! | disk | the core's tray | core by mailbox |
//! | index | checkpoints, time | core by mailbox |
//! | files | requests | core by mailbox, web by a bounded channel |
//! | web | its sockets | core and files (answers are awaited) |

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};
use chat::limits::Shares;
use chat::{ApiCall, ApiReply, Config};
use files::Files;
use quic::{Quic, QuicConfig};
use ring::{RingConfig, RingHandle, Rings};
use web::{Listeners, Network, Web};
use wire::ids::{BoxId, Epoch, Offset, ProvisionId, TimeMs};
use wire::server::{Closing, Reason};

use crate::appliance::Appliance;
use crate::args::Args;
use crate::budget::Budget;
use crate::claim::{ClaimKeeper, random};
use crate::control::Control;
use crate::core::{Core, Ports, now};
use crate::data::DataFolder;
use crate::disk::DiskThread;
use crate::doors::{Doors, as_ring_event};
use crate::figures::Machine;
use crate::health::Status;
use crate::history::Pages;
use crate::index::IndexThread;
use crate::limits::{KEPT_BACK_BYTES, STACK_BYTES};
use crate::link::{Link, link};
use crate::recover::{self, Outcome, Recovered, Wish};
use crate::report::{Init, Reporter};
use crate::tray::tray;
use crate::web_core::WebCore;
use crate::{listen, memory, probe, rescue, restore, site};

/// Certificates are never older than the program: the clock of a board without a battery may be.
pub(crate) const CLOCK_FLOOR: TimeMs = TimeMs(1_763_769_600_000);

/// When clients may come back after an orderly end: about the time of a restart.
const RECONNECT_MS: u32 = 2_000;

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGTERM, SIGINT, or init.
    Asked,
    /// The owner gives up what a damaged log lost.
    Salvage,
}

/// Serves until it is told to end.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let listeners = listen::bind(args)?;
    let control = args.control.as_deref().map(Control::connect).transpose()?;
    let init = control
        .as_ref()
        .map(|control| Init { welcome: control.welcome.clone(), port: control.port() });
    let (ends, end) = channel();
    watch_signals(ends.clone())?;
    let status = Arc::new(Status::default());
    let reporter = Reporter::start(args, control, &status, ends.clone())?;
    let told = init.as_ref().and_then(|init| init.welcome.rescue.clone());
    let start = Start { args, init: init.as_ref(), status, reporter: &reporter, end: &end };
    let rescue = |case| {
        let network = network(args, init.as_ref());
        rescue::serve(args, &listeners, &network, case, &reporter, (ends.clone(), &end))
    };
    if let Some(reason) = args.rescue.clone().or(told) {
        return rescue(rescue::Case::without_data(reason)).map(drop);
    }
    let data = DataFolder::open(&args.data);
    let served = match &data {
        Ok(data) => start.serve(data, &listeners),
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    let case = match served {
        Ok(Served::Ended) => return Ok(()),
        Ok(Served::Rescue(case)) => *case,
        // At a terminal the error and the exit code say more than a page.
        Err(error) if init.is_none() => return Err(error),
        // Init does not start again what was refused, so this page is all that people have.
        Err(error) => start.case(data.as_ref().ok(), &error),
    };
    let end = rescue(case)?;
    drop(data);
    after_rescue(args, init.is_some(), end)
}

/// What starting up needs.
struct Start<'a> {
    args: &'a Args,
    init: Option<&'a Init>,
    status: Arc<Status>,
    reporter: &'a Reporter,
    end: &'a Receiver<End>,
}

/// How starting up went on.
enum Served {
    /// The box served and was told to end.
    Ended,
    Rescue(Box<rescue::Case>),
}

impl Start<'_> {
    /// Recovers and serves until the end. With an error, what was started has been told to end.
    fn serve(&self, data: &DataFolder, listeners: &Listeners) -> anyhow::Result<Served> {
        let budget = Budget::planned(self.args.memory);
        let recovered = match recover::recover(data, wish(self.args, &budget), &self.status)? {
            Outcome::Ready(recovered) => *recovered,
            Outcome::Rescue(case) => return Ok(Served::Rescue(case)),
        };
        let used = recovered.chat.state().meta().provisions.clone();
        let recovery = Recovery { lost: recovered.lost, used };
        let mut engine = Engine::start(self.args, &budget, recovered, data.log(), &self.status)?;
        if let Err(error) = self.open(&mut engine, &recovery, data, listeners) {
            engine.stop();
            return Err(error);
        }
        let _: End = self.end.recv().context("nobody is left who could end the process")?;
        tracing::info!("ending: finishing what was taken");
        // It holds queues of the others, so it goes first.
        self.reporter.end_web();
        engine.stop();
        Ok(Served::Ended)
    }

    /// Opens the doors of a box whose threads run.
    fn open(
        &self,
        engine: &mut Engine,
        recovery: &Recovery,
        data: &DataFolder,
        listeners: &Listeners,
    ) -> anyhow::Result<()> {
        let (box_id, claimed) = engine.begin(recovery.lost)?;
        let claim = Arc::new(claim_keeper(data, self.init, claimed, &recovery.used)?);
        let network = network(self.args, self.init);
        let listeners = listen::again(listeners).context("a listening socket is unusable")?;
        let known = Known {
            status: self.status.clone(),
            claim: claim.clone(),
            appliance: self.reporter.appliance(),
        };
        let web = engine.open_doors(listeners, data, box_id, network, known)?;
        say_where(self.args, &web, &claim);
        engine.open_plain_door(self.args)?;
        engine.open_quic_door(self.args, &web)?;
        let nonce = self.init.and_then(|init| init.welcome.boot_nonce.clone());
        let examiner = probe::Examiner::new(engine.link.clone(), self.status.clone(), nonce);
        self.reporter.serving(examiner, web);
        Ok(())
    }

    /// Why the box could not start, with what can be read, so that the owner gets a backup.
    fn case(&self, data: Option<&DataFolder>, error: &anyhow::Error) -> rescue::Case {
        let reason = format!("The box could not start: {error:#}");
        let wish = wish(self.args, &Budget::planned(self.args.memory));
        let readable = data.map(|data| (data, recover::recover(data, wish, &self.status)));
        match readable {
            Some((data, Ok(Outcome::Ready(recovered)))) => rescue::Case {
                reason,
                state: recovered.chat.state().clone(),
                log: Some((data.log(), recovered.log.reader().clone())),
                salvageable: false,
            },
            Some((_, Ok(Outcome::Rescue(case)))) => *case,
            _ => rescue::Case::without_data(reason),
        }
    }
}

/// What is asked of recovery after its log and state went to their threads.
struct Recovery {
    lost: bool,
    used: Vec<ProvisionId>,
}

fn network(args: &Args, init: Option<&Init>) -> Network {
    let welcome = init.map(|init| &init.welcome);
    let host_name = welcome.map(|welcome| welcome.host_name.as_str());
    listen::network(args, host_name, welcome.map(|welcome| &welcome.network))
}

fn claim_keeper(
    data: &DataFolder,
    init: Option<&Init>,
    claimed: bool,
    used: &[ProvisionId],
) -> anyhow::Result<ClaimKeeper> {
    match init {
        Some(Init { welcome, port }) if claimed => {
            ClaimKeeper::remind(&welcome.claim, used, port);
            Ok(ClaimKeeper::nothing())
        }
        Some(Init { welcome, port }) => ClaimKeeper::offered(&welcome.claim, port.clone()),
        None if claimed => Ok(ClaimKeeper::nothing()),
        None => ClaimKeeper::own(data),
    }
}

/// Salvage happens in place; then the program starts anew, under the same process id.
fn after_rescue(args: &Args, under_init: bool, end: End) -> anyhow::Result<()> {
    match end {
        End::Asked => Ok(()),
        End::Salvage => {
            match restore::salvage(&args.data) {
                // The new run finds the damage again and serves its page.
                Err(error) if under_init => tracing::error!("not salvaged: {error:#}"),
                salvaged => salvaged?,
            }
            Err(memory::restart()).context("the program could not start again after salvage")
        }
    }
}

fn wish(args: &Args, budget: &Budget) -> Wish {
    let bytes = |share: u64| usize::try_from(share).expect("a share of 2 GiB at most");
    let shares = Shares {
        sessions_max: budget.sessions_max(),
        hot_bytes_max: bytes(budget.hot_messages),
        log_reserve_bytes: KEPT_BACK_BYTES,
        ..Shares::default()
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Wish {
        config: Config { version, shares },
        cache_bytes: bytes(budget.index_cache),
        rebuild: args.rebuild,
        slow_disk: args.slow_disk,
        salvage: false,
    }
}

/// What the web side knows besides the chat.
struct Known {
    status: Arc<Status>,
    claim: Arc<ClaimKeeper>,
    appliance: Option<Appliance>,
}

/// The threads that make the chat, without the web.
struct Engine {
    link: Arc<Link>,
    rings: Rings,
    /// The way to the thread of QUIC until it starts, if it does.
    orders: Option<(quic::QuicHandle, quic::Orders)>,
    quic_config: QuicConfig,
    quic: Option<Quic>,
    files: Files,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    fn start(
        args: &Args,
        budget: &Budget,
        recovered: Recovered,
        log_folder: std::path::PathBuf,
        status: &Arc<Status>,
    ) -> anyhow::Result<Self> {
        let Recovered { log, disk, store, chat, positions, lost: _ } = recovered;
        let (link, inbox) = link(Offset(log.reader().last_offset()));
        let rings = Rings::start(ring_config(args, budget), link.events())?;
        let orders = quic::queue();
        let (files, files_thread) = Files::start(log_folder, log.reader().clone(), STACK_BYTES)?;
        let (tray, records) = tray();
        let (checkpoint_sender, checkpoints) = sync_channel(1);
        let pages = Pages { files: files.clone(), index: store.index(), link: link.clone() };
        let index = IndexThread {
            store,
            shelf: log.shelf().clone(),
            disk: disk.clone(),
            checkpoints,
            positions: positions.clone(),
            link: link.clone(),
            status: status.clone(),
        };
        let disk = DiskThread {
            log,
            disk,
            records,
            positions,
            link: link.clone(),
            _index: checkpoint_sender.clone(),
        };
        let ports = Ports {
            link: link.clone(),
            doors: Doors { rings: rings.handle().outbox(), quic: orders.0.outbox() },
            disk: tray,
            index: checkpoint_sender,
            pages,
        };
        let threads = vec![
            spawn("disk", move || disk.run())?,
            spawn("index", move || index.run())?,
            spawn("core", move || Core::new(chat, inbox, ports).run())?,
            files_thread,
        ];
        let (orders, quic_config) = (Some(orders), quic_config(args, budget));
        Ok(Self { link, rings, orders, quic_config, quic: None, files, threads })
    }

    /// A first start begins the first incarnation, one that lost records another one. Says which
    /// box this is and whether it has an owner.
    fn begin(&self, lost: bool) -> anyhow::Result<(BoxId, bool)> {
        let ApiReply::Facts(facts) = self.ask(ApiCall::Facts)? else {
            bail!("the core answered something else than its facts");
        };
        let is_new = facts.epoch == Epoch([0; 16]);
        let box_id = if is_new { BoxId(random()?) } else { facts.box_id };
        if is_new || lost {
            self.ask(ApiCall::BeginEpoch { box_id, epoch: Epoch(random()?) })?;
        }
        Ok((box_id, facts.claimed))
    }

    /// Starts the web server: from now on people can connect.
    fn open_doors(
        &self,
        listeners: Listeners,
        data: &DataFolder,
        box_id: BoxId,
        network: Network,
        known: Known,
    ) -> anyhow::Result<Web> {
        let rings = self.rings.handle();
        let Known { status, claim, appliance } = known;
        let offer = claim.offer();
        let core = WebCore {
            link: self.link.clone(),
            files: self.files.clone(),
            status,
            claim,
            machine: Machine::of(data.root()),
            appliance,
        };
        Ok(web::start(web::Config {
            listeners,
            data: data.root().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            box_id,
            network,
            clock: Arc::new(now),
            clock_floor: CLOCK_FLOOR,
            core: Arc::new(core),
            adopt: Arc::new(move |handover| adopt(&rings, handover)),
            claim: offer,
            site: site::FILES,
        })?)
    }

    /// Opens the door without TLS, when asked for.
    fn open_plain_door(&self, args: &Args) -> anyhow::Result<()> {
        if let Some(listener) = listen::bind_plain(args)? {
            tracing::warn!(plain = %listener.local_addr()?, "listening without TLS");
            self.rings.handle().listen(listener);
        }
        Ok(())
    }

    /// Opens the door of QUIC, when asked for: with the keys of the others, and their limits for
    /// connections on which nobody signed in.
    fn open_quic_door(&mut self, args: &Args, web: &Web) -> anyhow::Result<()> {
        let (Some(socket), Some(way)) = (listen::bind_quic(args)?, self.orders.take()) else {
            return Ok(());
        };
        let door = quic::Door {
            socket,
            tls: web.trust().quic_config()?,
            admit: web.admit(),
            reset_seed: web.trust().secret_for("QUIC stateless reset"),
        };
        let config = self.quic_config.clone();
        let quic = Quic::start(config, door, way, self.link.events(), as_ring_event)?;
        tracing::info!(quic = %quic.address(), "listening");
        self.quic = Some(quic);
        Ok(())
    }

    fn ask(&self, call: ApiCall) -> anyhow::Result<ApiReply> {
        let answer = self.link.call(call).context("the core takes no calls")?;
        let reply = answer.blocking_recv().context("the core ended")?;
        reply.context("the core refused to start")
    }

    /// Sessions are told and end, what was taken becomes durable, then the threads end one after
    /// another: the core drops the queues of the others.
    fn stop(self) {
        let Self { link, rings, mut quic, files, threads, .. } = self;
        if let Some(quic) = &mut quic {
            quic.begin_shutdown(closing());
        }
        rings.shutdown(closing());
        drop(quic);
        link.stop();
        drop(files);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread panicked while ending");
            }
        }
    }
}

/// The last word to every session.
fn closing() -> Closing {
    Closing {
        reason: Reason::ShuttingDown,
        text: "the box is restarting; connect again in a moment".into(),
        retry_after_ms: Some(RECONNECT_MS),
    }
}

fn ring_config(args: &Args, budget: &Budget) -> RingConfig {
    let mut config = RingConfig::default();
    if let Some(rings) = args.rings {
        config.rings = rings;
    }
    let sessions_max = budget.ring_sessions_max(args.listen_quic.is_some());
    let per_ring = sessions_max / config.rings.max(1);
    config.connections_per_ring =
        config.connections_per_ring.min(u32::try_from(per_ring).unwrap_or(u32::MAX));
    config.ring_bytes_max = outbound_part(budget, &config, args);
    config
}

fn quic_config(args: &Args, budget: &Budget) -> QuicConfig {
    QuicConfig {
        connections_max: budget.quic_connections_max(),
        bytes_max: outbound_part(budget, &ring_config(args, budget), args),
        ..QuicConfig::default()
    }
}

/// Each ring and QUIC get the same part of what may be queued.
fn outbound_part(budget: &Budget, rings: &RingConfig, args: &Args) -> usize {
    let parts = rings.rings.max(1) + usize::from(args.listen_quic.is_some());
    usize::try_from(budget.outbound).expect("a share of 2 GiB at most") / parts
}

/// Gives an established connection to a ring; one that no ring has a place for is closed.
fn adopt(rings: &RingHandle, handover: web::Handover) -> bool {
    let web::Handover { stream, tls, plaintext, protocol, peer, permit } = handover;
    let protocol = match protocol {
        web::Protocol::Native => ring::Protocol::Native,
        web::Protocol::WebSocket { binary } => ring::Protocol::WebSocket { binary },
    };
    let tls = tls.map(|tls| ring::TlsState {
        connection: tls.connection,
        partial_record: tls.partial_record,
    });
    rings.adopt(ring::Handover { stream, tls, plaintext, protocol, peer, permit }).is_ok()
}

fn say_where(args: &Args, web: &Web, claim: &ClaimKeeper) {
    let addresses = web.addresses();
    tracing::info!(
        https = %addresses.https,
        http = addresses.http.map(tracing::field::display),
        native = addresses.native.map(tracing::field::display),
        "listening"
    );
    let words = web.fingerprint().words.join(" ");
    tracing::info!("fingerprint: {words}");
    if let Some(link) = claim.link(&listen::host_for_links(args), addresses.https) {
        // For a person at the terminal, so on stdout and without decoration.
        println!("Claim this box: {link}");
    }
}

/// A thread with a name and a small stack.
pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .with_context(|| format!("the thread {name} does not start"))
}

fn watch_signals(ends: Sender<End>) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals =
        signal_hook::iterator::Signals::new([SIGTERM, SIGINT]).context("can't take signals")?;
    spawn("signals", move || {
        for _ in signals.forever() {
            if ends.send(End::Asked).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
