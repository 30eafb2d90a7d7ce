//! The time service, on a thread of its own: asks time servers (SNTP, RFC 4330), sets the clock and
//! tells init. Whom to believe is decided in `rules`, what packets say in `packet`; both are pure.

mod packet;
mod rules;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use update::control::{ClockReport, ClockSource, FromNet, NetSettings};

use packet::{Answer, Wrong};
use rules::{Bounds, Pace, Sample, Tiers};

/// Where SNTP servers listen.
const PORT: u16 = 123;

/// How long an answer may take: a satellite link with a full queue is well below.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Datagrams looked at for one answer: what others send to the port must not hold the thread.
const DATAGRAMS_MAX: u32 = 16;

/// A look-up that fails after this long failed because nobody answered.
const RESOLVER_WAIT: Duration = Duration::from_secs(3);

/// Answers taken from one server, and the pause between two requests (RFC 4330 section 10 wants
/// servers spared; two seconds are what full clients use, too).
const SAMPLES: u32 = 3;
const SAMPLE_PAUSE: Duration = Duration::from_secs(2);

/// A clock that is wrong by less stays as it is, in nanoseconds: order in the chat never depends
/// on the clock, and people do not see a tenth of a second.
const STEP_NS: i64 = 100_000_000;

/// Networks that came up while the thread was busy; one is as good as many.
const NEWS_MAX: usize = 2;

/// The main thread's end.
pub(super) struct Handle {
    news: SyncSender<Vec<String>>,
    known: (Option<Ipv4Addr>, Vec<Ipv4Addr>),
    pending: bool,
}

impl Handle {
    /// Starts the thread.
    pub(super) fn start(settings: &NetSettings) -> Self {
        let (news, receiver) = sync_channel(NEWS_MAX);
        let tiers = Tiers::new(settings.time_servers.clone());
        let bounds = Bounds::new(settings.build_s);
        std::thread::spawn(move || Keeper::new(tiers, bounds).run(&receiver));
        Self { news, known: (None, Vec::new()), pending: false }
    }

    /// The address or the network's own time servers may have changed: worth a new try at once.
    pub(super) fn on_network(&mut self, address: Option<Ipv4Addr>, servers: Vec<Ipv4Addr>) {
        let now = (address, servers);
        if now != self.known {
            self.pending = now.0.is_some();
            self.known = now;
        }
        if self.pending {
            let names = self.known.1.iter().map(Ipv4Addr::to_string).collect();
            self.pending = matches!(self.news.try_send(names), Err(TrySendError::Full(_)));
        }
    }
}

/// The thread's own.
struct Keeper {
    tiers: Tiers,
    bounds: Bounds,
    pace: Pace,
    synced: bool,
    connected: bool,
    resolver_silent: bool,
    complained: Vec<String>,
}

impl Keeper {
    fn new(tiers: Tiers, bounds: Bounds) -> Self {
        Self {
            tiers,
            bounds,
            pace: Pace::default(),
            synced: false,
            connected: false,
            resolver_silent: false,
            complained: Vec::new(),
        }
    }

    fn run(mut self, news: &Receiver<Vec<String>>) {
        loop {
            let pause = if self.connected { self.pace.pause() } else { Pace::LONGEST };
            match news.recv_timeout(pause) {
                Ok(servers) => {
                    self.connected = true;
                    self.tiers.set_network(servers);
                    self.pace = Pace::default();
                    self.complained.clear();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.connected && self.round().is_err() {
                return;
            }
        }
    }

    /// Asks tier after tier until one gives a time that can be believed.
    fn round(&mut self) -> Result<(), super::NetError> {
        self.resolver_silent = false;
        for tier in self.tiers.to_ask() {
            let samples: Vec<_> = tier.iter().filter_map(|server| self.ask(server)).collect();
            if let Some(best) = rules::choose(&samples) {
                self.pace.on_success();
                return self.follow(best);
            }
        }
        self.pace.on_failure();
        if !self.synced {
            self.complain("no time", "No time server gave a usable time yet; it is tried again.");
        }
        Ok(())
    }

    /// The best of a server's answers: the one that travelled the shortest.
    fn ask(&mut self, server: &str) -> Option<Sample> {
        // The first time matters most; precision comes with the later rounds.
        let wanted = if self.synced { SAMPLES } else { 1 };
        let mut best: Option<Sample> = None;
        for number in 0..wanted {
            if number > 0 {
                std::thread::sleep(SAMPLE_PAUSE);
            }
            let sample = match self.resolve(server).and_then(exchange) {
                Ok((sent_ns, took_ns, answer)) => answer.sample(server, sent_ns, took_ns),
                Err(error) => {
                    self.on_error(server, &error);
                    return best;
                }
            };
            let Some(sample) = sample.filter(|sample| self.is_plausible(sample)) else { continue };
            if best.as_ref().is_none_or(|best| sample.delay_ns < best.delay_ns) {
                best = Some(sample);
            }
        }
        best
    }

    /// A name server that is silent for one name is silent for the next, and each costs many
    /// seconds: in such a round only addresses are asked.
    fn resolve(&mut self, server: &str) -> Result<SocketAddr, AskError> {
        if self.resolver_silent && server.parse::<IpAddr>().is_err() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        let asked = Instant::now();
        let found = (server, PORT).to_socket_addrs().map(|mut addresses| addresses.next());
        self.resolver_silent |= found.is_err() && asked.elapsed() >= RESOLVER_WAIT;
        found?.ok_or_else(|| io::Error::other("the name has no address").into())
    }

    fn is_plausible(&mut self, sample: &Sample) -> bool {
        match self.bounds.check(sample.now_s) {
            Ok(()) => true,
            Err(refusal) => {
                let server = &sample.server;
                self.complain(server, &format!("The time server {server} {refusal}."));
                false
            }
        }
    }

    fn on_error(&mut self, server: &str, error: &AskError) {
        match error {
            AskError::Wrong(Wrong::KissOfDeath(code)) if packet::is_final(*code) => {
                self.tiers.drop_server(server);
                self.complain(server, &format!("The time server {server} wants no requests."));
            }
            AskError::Wrong(Wrong::KissOfDeath(_)) => self.pace.slow_down(),
            AskError::Wrong(wrong) => {
                self.complain(server, &format!("The time server {server} {wrong}."));
            }
            // Most often the network is not there yet; the round's own sentence says enough.
            AskError::Io(_) => {}
        }
    }

    fn follow(&mut self, sample: &Sample) -> Result<(), super::NetError> {
        let old_ns = now_ns();
        let new_ns = old_ns.saturating_add(sample.offset_ns);
        let step = sample.offset_ns.abs() >= STEP_NS;
        if step && let Err(error) = set(new_ns) {
            self.complain("set", &format!("The clock could not be set: {error}."));
            return Ok(());
        }
        if step || !self.synced {
            self.synced = true;
            let source = ClockSource::Server(sample.server.clone());
            let (old_s, new_s) = (seconds(old_ns), seconds(new_ns));
            super::report(&FromNet::Clock(ClockReport { source, old_s, new_s }))?;
        }
        Ok(())
    }

    /// Each trouble once per network, so that a wrong server does not fill the log.
    fn complain(&mut self, about: &str, sentence: &str) {
        if !self.complained.iter().any(|known| known == about) {
            self.complained.push(about.to_owned());
            eprintln!("{sentence}");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

/// One request and its answer: when it was sent by our clock, how long it took, what it says.
fn exchange(address: SocketAddr) -> Result<(i64, i64, Answer), AskError> {
    // The kernel draws the port; connected, it takes packets from this server only.
    let unbound = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(unbound)?;
    socket.connect(address)?;
    let nonce = getrandom::u64().map_err(io::Error::other)?;
    let (sent_ns, sent) = (now_ns(), Instant::now());
    socket.send(&packet::request(nonce))?;
    let mut buffer = [0; packet::BYTES_MAX];
    for _ in 0..DATAGRAMS_MAX {
        let left = ANSWER_WAIT.saturating_sub(sent.elapsed());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut buffer)?;
        let took_ns = i64::try_from(sent.elapsed().as_nanos()).unwrap_or(i64::MAX);
        match packet::parse(&buffer[..length], nonce) {
            // Old or forged: the true answer may still come.
            Err(Wrong::NotOurs) => {}
            answer => return Ok((sent_ns, took_ns, answer?)),
        }
    }
    Err(io::Error::from(io::ErrorKind::TimedOut).into())
}

fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

fn set(at_ns: i64) -> io::Result<()> {
    let (tv_sec, tv_nsec) = (at_ns.div_euclid(1_000_000_000), at_ns.rem_euclid(1_000_000_000));
    Ok(clock_settime(ClockId::Realtime, Timespec { tv_sec, tv_nsec })?)
}

fn seconds(at_ns: i64) -> u64 {
    u64::try_from(at_ns / 1_000_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests;
