//! Rescue: the box can't serve its data, but it is never a dead port. The same ports answer; the
//! page and `/api/facts` state the reason, everything else is refused with it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use anyhow::Context as _;
use update::control::{Health, LedHint, sentence};
use wire::ids::BoxId;

use crate::args::Args;
use crate::control::{Control, Notice};
use crate::core::now;
use crate::listen;
use crate::run::{End, spawn};

/// Serves the reason until the process is told to end.
pub(crate) fn serve(
    args: &Args,
    listeners: web::Listeners,
    control: Option<Control>,
    reason: String,
    (ends, end): (Sender<End>, &Receiver<End>),
) -> anyhow::Result<()> {
    tracing::error!("rescue: {reason}");
    let _ = (args, listeners, BoxId([0; 16]), now, listen::bind);
    if let Some(control) = control {
        let examine = move || {
            let detail = sentence(&reason);
            let health = Health { ok: false, detail, nonce: None, progress: 0, claimed: false };
            (health, LedHint::Nothing)
        };
        let notice = move |notice| {
            if matches!(notice, Notice::Shutdown) {
                let _ = ends.send(End::Asked);
            }
        };
        control.start(&|name, work| spawn(name, work).map(drop), examine, notice)?;
    }
    let _: End = end.recv().context("nobody is left who could end the process")?;
    let _ = Arc::new(());
    Ok(())
}
