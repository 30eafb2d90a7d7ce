//! What init hears of linnetd, from the first moment on: while it recovers (counting records, so
//! that a long replay is not taken for being stuck), while it serves, and in rescue.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};

use update::control::{Health, LedHint, Welcome, sentence};
use web::Web;

use crate::appliance::{Appliance, InitPort};
use crate::args::Args;
use crate::control::{Control, Notice};
use crate::health::Status;
use crate::limits::HEALTH_INTERVAL;
use crate::listen;
use crate::probe::Examiner;
use crate::run::{End, spawn};

/// How far linnetd is.
enum Stage {
    Starting,
    Serving(Box<Examiner>),
    /// Why it waits for the owner.
    Rescue(String),
}

/// What init said at the start, and how to tell it something.
pub(crate) struct Init {
    pub(crate) welcome: Welcome,
    pub(crate) port: InitPort,
}

/// Shared by the thread that reports and the one that starts everything.
#[derive(Clone)]
pub(crate) struct Reporter {
    stage: Arc<Mutex<Stage>>,
    status: Arc<Status>,
    web: Arc<Mutex<Option<Web>>>,
    /// The system of the card, where there is one.
    appliance: Option<Appliance>,
}

impl Reporter {
    /// Begins to report: to init, or, without one, only for the health page.
    pub(crate) fn start(
        args: &Args,
        control: Option<Control>,
        status: &Arc<Status>,
        ends: Sender<End>,
    ) -> anyhow::Result<Self> {
        let reporter = Self {
            stage: Arc::new(Mutex::new(Stage::Starting)),
            status: status.clone(),
            web: Arc::default(),
            appliance: control.as_ref().map(|control| Appliance {
                port: control.port(),
                facts: control.welcome.facts.clone(),
            }),
        };
        let mut reports = reporter.clone();
        let Some(control) = control else {
            spawn("health", move || {
                loop {
                    // The status keeps what it saw.
                    let _ = reports.report();
                    std::thread::sleep(HEALTH_INTERVAL);
                }
            })?;
            return Ok(reporter);
        };
        let web = reporter.web.clone();
        let mut names = Names {
            args: args.clone(),
            host_name: control.welcome.host_name.clone(),
            outside: control.welcome.network.clone(),
        };
        let notice = move |notice| match notice {
            Notice::Network(network) => {
                names.outside = network;
                names.apply(&web);
            }
            Notice::HostName(name) => {
                names.host_name = name;
                names.apply(&web);
            }
            // The receiver is gone only when the process ends already.
            Notice::Shutdown => drop(ends.send(End::Asked)),
        };
        let spawn = |name: &str, work| spawn(name, work).map(drop);
        control.start(&spawn, move || reports.report(), notice)?;
        Ok(reporter)
    }

    /// The system of the card, where there is one.
    pub(crate) fn appliance(&self) -> Option<Appliance> {
        self.appliance.clone()
    }

    /// From now on the box serves, and looks through its health device.
    pub(crate) fn serving(&self, examiner: Examiner, web: Web) {
        *lock(&self.web) = Some(web);
        *lock(&self.stage) = Stage::Serving(Box::new(examiner));
    }

    /// From now on the box waits for its owner.
    pub(crate) fn rescue(&self, reason: String, web: Web) {
        *lock(&self.web) = Some(web);
        *lock(&self.stage) = Stage::Rescue(reason);
    }

    /// Ends the web server.
    pub(crate) fn end_web(&self) {
        drop(lock(&self.web).take());
    }

    fn report(&mut self) -> (Health, LedHint) {
        let (reason, hint) = match &mut *lock(&self.stage) {
            Stage::Serving(examiner) => return examiner.report(),
            Stage::Starting => ("the box reads its log".to_owned(), LedHint::LongWork),
            Stage::Rescue(reason) => {
                // Waiting for the owner is all there is to do: that is not being stuck.
                self.status.advance();
                (reason.clone(), LedHint::Nothing)
            }
        };
        let (detail, progress) = (sentence(&reason), self.status.progress());
        (Health { ok: false, detail, nonce: None, progress, claimed: false }, hint)
    }
}

/// What the box answers to, from all who have a say.
struct Names {
    args: Args,
    host_name: String,
    outside: update::control::Network,
}

impl Names {
    fn apply(&self, web: &Mutex<Option<Web>>) {
        let network = listen::network(&self.args, Some(&self.host_name), Some(&self.outside));
        if let Some(web) = &*lock(web) {
            web.set_network(network);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of these locks panics")
}
