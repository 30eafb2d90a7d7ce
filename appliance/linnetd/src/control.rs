//! The client of init's control socket: takes the welcome, reports health, carries requests out,
//! ends the process when init says so. Without a socket linnetd is a plain program.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

use anyhow::{Context as _, bail};
use update::control::{self, FromInit, Health, LedHint, ToInit, Welcome};

use crate::appliance::{Asked, InitPort, Waiting};
use crate::limits::HEALTH_INTERVAL;

/// Requests to init that wait: a spent claim, and what owners ask for.
const QUEUE: usize = 16;

/// An open connection to init.
pub(crate) struct Control {
    stream: UnixStream,
    pub(crate) welcome: Welcome,
    requests: Receiver<Asked>,
    sender: SyncSender<Asked>,
}

/// Starts a named thread.
pub(crate) type Spawn<'a> = dyn Fn(&str, Box<dyn FnOnce() + Send>) -> anyhow::Result<()> + 'a;

/// What init tells later on.
pub(crate) enum Notice {
    /// Names and addresses changed.
    Network(control::Network),
    /// The owner gave the box another name.
    HostName(String),
    /// Finish and end.
    Shutdown,
}

impl Control {
    /// Connects and says hello.
    pub(crate) fn connect(socket: &Path) -> anyhow::Result<Self> {
        let mut stream = UnixStream::connect(socket)
            .with_context(|| format!("can't reach init at {}", socket.display()))?;
        let release = env!("CARGO_PKG_VERSION").to_owned();
        control::write_frame(&mut stream, &ToInit::Hello { version: control::VERSION, release })?;
        let welcome = match control::read_frame(&mut stream)? {
            Some(FromInit::Welcome(welcome)) => *welcome,
            Some(FromInit::Refused { reason }) => bail!("init refused: {reason}"),
            other => bail!("init did not welcome this program but said {other:?}"),
        };
        if welcome.version != control::VERSION {
            bail!("init speaks version {} of the control protocol", welcome.version);
        }
        let (sender, requests) = sync_channel(QUEUE);
        Ok(Self { stream, welcome, requests, sender })
    }

    /// For others who have something to say to init.
    pub(crate) fn port(&self) -> InitPort {
        InitPort::new(self.sender.clone())
    }

    /// Starts both directions. `examine` makes the next health report and LED hint.
    pub(crate) fn start(
        self,
        spawn: &Spawn<'_>,
        mut examine: impl FnMut() -> (Health, LedHint) + Send + 'static,
        mut notice: impl FnMut(Notice) + Send + 'static,
    ) -> anyhow::Result<()> {
        let Self { stream, requests, sender, .. } = self;
        let waiting = Waiting::default();
        let mut reader = stream.try_clone().context("can't share the control socket")?;
        let places = waiting.clone();
        spawn(
            "init-in",
            Box::new(move || {
                if let Err(error) = listen(&mut reader, &places, &mut notice) {
                    tracing::error!(%error, "the control socket failed");
                }
                // pid 1 is gone or speaks nonsense: only an orderly end is left.
                notice(Notice::Shutdown);
            }),
        )?;
        let mut writer = stream;
        spawn(
            "init-out",
            Box::new(move || {
                let _own = sender;
                if let Err(error) = talk(&mut writer, &requests, &waiting, &mut examine) {
                    tracing::error!(%error, "init can't be told anything any more");
                }
            }),
        )
    }
}

fn listen(
    stream: &mut UnixStream,
    waiting: &Waiting,
    notice: &mut impl FnMut(Notice),
) -> Result<(), control::ControlError> {
    while let Some(frame) = control::read_frame::<FromInit>(stream)? {
        match frame {
            FromInit::Network(network) => notice(Notice::Network(network)),
            FromInit::HostName { name } => notice(Notice::HostName(name)),
            FromInit::Shutdown { .. } => notice(Notice::Shutdown),
            FromInit::Welcome(_) => tracing::warn!("init welcomed this program twice"),
            answer => {
                if let Err(FromInit::Refused { reason }) = waiting.answer(answer) {
                    tracing::error!(%reason, "init refused a request");
                }
            }
        }
    }
    Ok(())
}

fn talk(
    stream: &mut UnixStream,
    requests: &Receiver<Asked>,
    waiting: &Waiting,
    examine: &mut impl FnMut() -> (Health, LedHint),
) -> Result<(), control::ControlError> {
    let mut last_hint = None;
    loop {
        let (health, hint) = examine();
        control::write_frame(stream, &ToInit::Health(health))?;
        if last_hint != Some(hint) {
            control::write_frame(stream, &ToInit::LedHint(hint))?;
            last_hint = Some(hint);
        }
        match requests.recv_timeout(HEALTH_INTERVAL) {
            Ok(asked) => control::write_frame(stream, &waiting.push(asked))?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
