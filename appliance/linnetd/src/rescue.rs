//! Rescue: the box can't go on by itself, but it is never a dead port. The same ports answer; the
//! page and `/api/facts` state the reason. Whoever has an account signs in (for this run only) and
//! the owner downloads what is readable as a backup. Nothing is written to the log.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use chat::State;
use files::{ExportHeader, Files};
use log::{LogReader, RealDisk};
use web::{
    Account, Answer, ApplianceReport, Backup, Caller, Core, CoreError, Credentials, DeviceEntry,
    Facts, Figures, HealthItem, HealthReport, Order, StaticFile,
};
use wire::ids::{DeviceId, ProvisionId, TokenHash, UserId};
use wire::server::Role;

use crate::appliance::{self, Appliance};
use crate::args::Args;
use crate::core::now;
use crate::data::make_folder;
use crate::limits::{RESCUE_DEVICES_MAX, STACK_BYTES};
use crate::listen;
use crate::recover::random_u64;
use crate::report::Reporter;
use crate::run::{CLOCK_FLOOR, End};
use crate::web_core::stream_backup;

/// Time for the last answer to reach the owner's browser.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// Why the box is in rescue, and what it can still read.
pub(crate) struct Case {
    pub(crate) reason: String,
    pub(crate) state: State,
    pub(crate) log: Option<(PathBuf, LogReader<RealDisk>)>,
    /// The tail segment is damaged: going on without it is possible.
    pub(crate) salvageable: bool,
}

impl Case {
    /// Nothing can be read: the data folder itself is not usable.
    pub(crate) fn without_data(reason: String) -> Self {
        Self { reason, state: State::new(), log: None, salvageable: false }
    }
}

/// Serves the case until the process is told to end.
pub(crate) fn serve(
    args: &Args,
    listeners: &web::Listeners,
    network: &web::Network,
    case: Case,
    reporter: &Reporter,
    (ends, end): (Sender<End>, &Receiver<End>),
) -> anyhow::Result<End> {
    tracing::error!("rescue: {}", case.reason);
    let reason = case.reason.clone();
    let site = page(&reason);
    let box_id = case.state.meta().box_id;
    let core = Arc::new(RescueCore::new(case, ends, reporter.appliance()));
    let start = |data: PathBuf| -> anyhow::Result<web::Web> {
        Ok(web::start(web::Config {
            listeners: listen::again(listeners)?,
            data,
            version: env!("CARGO_PKG_VERSION"),
            box_id,
            network: network.clone(),
            clock: Arc::new(now),
            clock_floor: CLOCK_FLOOR,
            core: core.clone(),
            // A session would have nothing to do here; its client asks for the facts and finds out.
            adopt: Arc::new(|_| false),
            claim: None,
            site,
        })?)
    };
    let web = match keys_folder(args).and_then(&start) {
        Err(error) => {
            tracing::error!("the box's keys are unusable, so this run has its own: {error:#}");
            start(own_folder()?)?
        }
        web => web?,
    };
    tracing::info!(https = %web.addresses().https, "the rescue page is served");
    reporter.rescue(reason, web);
    let end = end.recv().context("nobody is left who could end the process")?;
    if end == End::Salvage {
        std::thread::sleep(ANSWER_TIME);
    }
    reporter.end_web();
    Ok(end)
}

/// Where the certificates are; a folder for this run when the data folder can't be written.
fn keys_folder(args: &Args) -> anyhow::Result<PathBuf> {
    if is_writable(&args.data) {
        return Ok(args.data.clone());
    }
    own_folder()
}

fn own_folder() -> anyhow::Result<PathBuf> {
    let name = format!("linnet-rescue-{:016x}", random_u64()?);
    let folder = std::env::temp_dir().join(name);
    make_folder(&folder)?;
    Ok(folder)
}

fn is_writable(folder: &Path) -> bool {
    let probe = folder.join("write-probe");
    let written = make_folder(folder).is_ok() && std::fs::write(&probe, b"").is_ok();
    written && std::fs::remove_file(&probe).is_ok()
}

/// The page and what belongs to it, made once: they live as long as the process.
fn page(reason: &str) -> &'static [StaticFile] {
    let text = PAGE.replace("@REASON@", &escaped(reason));
    let html = Box::leak(text.into_bytes().into_boxed_slice());
    Box::leak(Box::new([
        file("/index.html", "text/html; charset=utf-8", html),
        file("/rescue.js", "text/javascript; charset=utf-8", SCRIPT.as_bytes()),
        file("/rescue.css", "text/css; charset=utf-8", STYLE.as_bytes()),
    ]))
}

const PAGE: &str = include_str!("rescue/page.html");
const SCRIPT: &str = include_str!("rescue/page.js");
const STYLE: &str = include_str!("rescue/page.css");

fn file(path: &'static str, mime: &'static str, bytes: &'static [u8]) -> StaticFile {
    StaticFile { path, mime, bytes, gzip: None, etag: "rescue", immutable: false }
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                write!(safe, "&#{};", u32::from(c)).expect("a String never fails");
            }
            other => safe.push(other),
        }
    }
    safe
}

/// Answers from what could be read; devices that sign in now are forgotten at the end.
struct RescueCore {
    reason: String,
    state: State,
    files: Option<(Files, u64)>,
    devices: Mutex<HashMap<TokenHash, Caller>>,
    /// Told when the owner wants salvage; none where it would not help.
    salvage: Option<Sender<End>>,
    /// A box in rescue can still be restarted and reset.
    appliance: Option<Appliance>,
}

impl RescueCore {
    fn new(case: Case, ends: Sender<End>, appliance: Option<Appliance>) -> Self {
        let salvage = case.salvageable.then_some(ends);
        let files = match case.log {
            Some((folder, reader)) => {
                let last = reader.last_offset();
                // The page is there without a backup as well: io_uring may be what is refused.
                Files::start(folder, reader, STACK_BYTES)
                    .inspect_err(|error| tracing::error!(%error, "no backup can be made"))
                    .ok()
                    .map(|(files, _thread)| (files, last))
            }
            None => None,
        };
        let (reason, state) = (case.reason, case.state);
        Self { reason, state, files, devices: Mutex::default(), salvage, appliance }
    }

    fn refuse<T: Send + 'static>(&self) -> Answer<T> {
        Box::pin(ready(Err(CoreError::Rescue(self.reason.clone()))))
    }

    fn header(&self, last_offset: u64) -> ExportHeader {
        let meta = self.state.meta();
        let (box_id, epoch) = (meta.box_id, meta.epoch);
        ExportHeader { box_id, epoch, time_ms: now().0, last_offset }
    }
}

fn answer<T: Send + 'static>(value: T) -> Answer<T> {
    Box::pin(ready(Ok(value)))
}

impl Core for RescueCore {
    fn facts(&self) -> Answer<Facts> {
        let meta = self.state.meta();
        answer(Facts {
            box_id: meta.box_id,
            epoch: meta.epoch,
            claimed: meta.owner.is_some(),
            rescue: Some(self.reason.clone()),
        })
    }

    fn claim(&self, _: ProvisionId, _: String, _: String) -> Answer<UserId> {
        self.refuse()
    }

    fn add_user(&self, _: UserId, _: String, _: Role, _: String) -> Answer<UserId> {
        self.refuse()
    }

    fn users(&self) -> Answer<Vec<Account>> {
        let users = self.state.users().map(|account| Account {
            user: account.user,
            name: account.name.clone(),
            role: account.role,
        });
        answer(users.collect())
    }

    fn find_user(&self, name: String) -> Answer<Option<Credentials>> {
        answer(self.state.user_named(&name).map(|account| Credentials {
            user: account.user,
            password_hash: account.password_hash.0.clone(),
        }))
    }

    fn add_device(&self, user: UserId, _: String, token_hash: TokenHash) -> Answer<DeviceId> {
        let Some(account) = self.state.user(user) else { return self.refuse() };
        let mut devices = self.devices.lock().expect("no holder of this lock panics");
        if devices.len() >= RESCUE_DEVICES_MAX {
            return self.refuse();
        }
        let device = DeviceId(u32::MAX);
        devices.insert(token_hash, Caller { user, device, role: account.role });
        answer(device)
    }

    fn remove_device(&self, _: UserId, _: DeviceId) -> Answer<()> {
        self.refuse()
    }

    fn devices(&self, _: UserId) -> Answer<Vec<DeviceEntry>> {
        self.refuse()
    }

    fn who_is(&self, token_hash: TokenHash) -> Answer<Option<Caller>> {
        let devices = self.devices.lock().expect("no holder of this lock panics");
        let known = devices.get(&token_hash).copied();
        answer(known.or_else(|| {
            let device = self.state.device_with(&token_hash)?;
            let role = self.state.user(device.user)?.role;
            Some(Caller { user: device.user, device: device.device, role })
        }))
    }

    fn health(&self) -> Answer<HealthReport> {
        let item = HealthItem { name: "rescue".into(), ok: false, text: self.reason.clone() };
        answer(HealthReport { ok: false, items: vec![item] })
    }

    fn figures(&self) -> Answer<Figures> {
        self.refuse()
    }

    fn backup(&self) -> Answer<Backup> {
        let Some((files, last)) = &self.files else { return self.refuse() };
        let (files, header) = (files.clone(), self.header(*last));
        Box::pin(async move { stream_backup(&files, header) })
    }

    fn appliance(&self) -> Answer<ApplianceReport> {
        appliance::report(self.appliance.as_ref())
    }

    fn order(&self, order: Order) -> Answer<()> {
        appliance::order(self.appliance.as_ref(), order)
    }

    fn salvage(&self) -> Answer<()> {
        let asked = self.salvage.as_ref().is_some_and(|ends| ends.send(End::Salvage).is_ok());
        Box::pin(ready(if asked { Ok(()) } else { Err(CoreError::NothingToSalvage) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_states_the_reason_and_takes_no_markup_from_it() {
        let page = page("records <script>1</script> & more are gone");
        let text = std::str::from_utf8(page[0].bytes).unwrap();
        assert!(text.contains("&#60;script&#62;") && text.contains("&#38; more"));
        assert!(!text.contains("<script>"));
    }
}
