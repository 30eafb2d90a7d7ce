//! What an attack does to others and to the server: a signed-in session whose acks are timed, and
//! the server's memory, processor time and descriptors as the kernel counts them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wire::ids::RoomId;

use crate::person::Person;
use crate::process::Linnetd;
use crate::session::{Door, Session};

/// Longest that a signed-in session may wait for an ack while others attack. Without an attack it
/// is some milliseconds; a debug build on processors that are shared with other tests is slow.
pub const ACK_WITHIN: Duration = Duration::from_secs(2);

/// Pause between two messages of the witness.
const EVERY: Duration = Duration::from_millis(20);

/// Pause between two looks at memory and descriptors.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks at a server again and again, on a thread of its own.
pub struct Meter {
    pid: u32,
    cpu: Duration,
    since: Instant,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, usize)>,
}

/// What the server took beyond what it had when the meter was started.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Most memory, in KiB.
    pub grown_kib: u64,
    /// Most open descriptors.
    pub descriptors: usize,
    /// Processor time of all threads over the time that passed: 1.0 is one core.
    pub load: f64,
}

impl Meter {
    /// Starts measuring.
    pub fn of(server: &Linnetd) -> Self {
        let pid = server.pid();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (pss, fds) = (pss_kib(pid), descriptors(pid));
        let thread = std::thread::spawn(move || {
            let mut most = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                most.0 = most.0.max(pss_kib(pid).saturating_sub(pss));
                most.1 = most.1.max(descriptors(pid).saturating_sub(fds));
                std::thread::sleep(LOOK_EVERY);
            }
            most
        });
        Self { pid, cpu: cpu(pid), since: Instant::now(), stop, thread }
    }

    /// Stops measuring.
    pub fn end(self) -> Cost {
        let load = cpu(self.pid).saturating_sub(self.cpu).as_secs_f64();
        let load = load / self.since.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::Relaxed);
        let (grown_kib, descriptors) = self.thread.join().expect("the server lives");
        Cost { grown_kib, descriptors, load }
    }
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is alive").count()
}

/// Proportional set size without files: the program itself is shared with the servers of other
/// tests, whose ends would count as growth of this one.
fn pss_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is alive");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|text| text.trim().parse().ok()).expect("the kernel states Pss_Anon in kB")
}

/// Time on a processor, threads that ended not counted.
fn cpu(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it is alive");
    let nanos = threads.flatten().map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

/// A signed-in person who says something again and again on a thread of their own.
pub struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Witness {
    /// Signs in on the native door and begins to talk.
    pub fn start(server: &Linnetd, person: &Person) -> Self {
        let mut person = person.clone();
        let (mut session, _) = person.enter(server, Door::Native);
        let room = person.create_room(&mut session, "witness", &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || talk(&mut person, &mut session, room, &stopped));
        Self { stop, thread }
    }

    /// Ends it: every message got its ack in time. Gives the number of messages and the longest
    /// wait.
    pub fn end(self) -> (usize, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let acks = self.thread.join().expect("every message of the witness got its ack");
        let longest = acks.iter().max().copied().expect("at least one message");
        assert!(longest < ACK_WITHIN, "an ack took {longest:?}");
        (acks.len(), longest)
    }
}

fn talk(
    person: &mut Person,
    session: &mut Session,
    room: RoomId,
    stopped: &AtomicBool,
) -> Vec<Duration> {
    let mut acks = Vec::new();
    while acks.is_empty() || !stopped.load(Ordering::Relaxed) {
        let start = Instant::now();
        person.say(session, room, "still here");
        acks.push(start.elapsed());
        std::thread::sleep(EVERY);
    }
    acks
}
