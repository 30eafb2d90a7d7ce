//! The radio: `wpa_supplicant` as a child of this one, with a configuration that it alone reads,
//! and what it says about joining the network. The box comes up by cable all the same.

mod config;
mod power;
mod words;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use update::control::{NetSettings, WifiState};
use update::provision::Wifi;

use super::files::Files;
use super::limits::{WIFI_WORD_BYTES_MAX, WIFI_WORDS_MAX};
use super::link::Link;
use super::privileges;
use crate::supervise::Backoff;

const PROGRAM: &str = "/usr/sbin/wpa_supplicant";

/// Keeps the box in its Wi-Fi network.
pub(super) struct Station {
    wish: Wifi,
    country: Option<String>,
    files: Files,
    state: WifiState,
    process: Option<Process>,
    backoff: Backoff,
    start_at_ms: u64,
}

struct Process {
    child: Child,
    since_ms: u64,
    link: Link,
    control: Option<UnixDatagram>,
}

impl Station {
    /// `None` where no network is wished for; the radio then stays off.
    pub(super) fn new(settings: &NetSettings, files: Files) -> Option<Self> {
        let state = WifiState::Unavailable;
        let (country, backoff) = (settings.country.clone(), Backoff::default());
        let wish = settings.wifi.clone()?;
        Some(Self { wish, country, files, state, process: None, backoff, start_at_ms: 0 })
    }

    /// How far it came.
    pub(super) fn state(&self) -> WifiState {
        self.state
    }

    /// What the owner should correct.
    pub(super) fn complaint(&self) -> Option<String> {
        let ssid: String = self.wish.ssid.chars().filter(|letter| !letter.is_control()).collect();
        let sentence = match self.state {
            WifiState::Joined | WifiState::Searching => return self.country_complaint(),
            WifiState::Unavailable => format!(
                "The Wi-Fi network \"{ssid}\" is set, but this box has no radio that works; use a \
                 cable."
            ),
            WifiState::NotFound => format!(
                "The Wi-Fi network \"{ssid}\" is not in reach; check its name, the country and \
                 the distance."
            ),
            WifiState::WrongPassphrase => {
                format!("The Wi-Fi network \"{ssid}\" does not accept the passphrase; correct it.")
            }
            WifiState::Refused => format!(
                "The Wi-Fi network \"{ssid}\" does not let the box in; check its settings and the \
                 passphrase."
            ),
        };
        Some(sentence)
    }

    /// Starts what has to run and reads what it says. `link` is the radio, if there is one.
    pub(super) fn turn(&mut self, link: Option<&Link>, now_ms: u64) {
        self.reap(link, now_ms);
        match link {
            Some(link) if self.process.is_none() && now_ms >= self.start_at_ms => {
                self.start(link, now_ms);
            }
            _ => {}
        }
        self.listen();
    }

    /// What to wait on for words.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref()?.control.as_ref().map(AsFd::as_fd)
    }

    /// Ends the program. What was killed without this is ended by init with the whole group.
    pub(super) fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only if it has ended already.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }

    fn country_complaint(&self) -> Option<String> {
        let missing = self.country.is_none();
        missing.then(|| {
            "A Wi-Fi network is set and no country, so some channels stay closed; set the country."
                .to_owned()
        })
    }

    /// Looks whether the program ended, or has to.
    fn reap(&mut self, link: Option<&Link>, now_ms: u64) {
        let Some(process) = &mut self.process else { return };
        if link != Some(&process.link) {
            // The radio is gone, or is another one.
            let _ = process.child.kill();
        }
        // An error means that somebody else has collected it: the same.
        let ended = process.child.try_wait().map_or(true, |status| status.is_some());
        if ended {
            let pause = self.backoff.on_exit(now_ms.saturating_sub(process.since_ms));
            eprintln!("The Wi-Fi program ended; it is started again in {pause} ms.");
            self.process = None;
            self.state = WifiState::Unavailable;
            self.start_at_ms = now_ms + pause;
        }
    }

    fn start(&mut self, link: &Link, now_ms: u64) {
        match self.spawn(link) {
            Ok(child) => {
                let since_ms = now_ms;
                self.process = Some(Process { child, since_ms, link: link.clone(), control: None });
            }
            Err(error) => {
                let pause = self.backoff.on_exit(0);
                self.start_at_ms = now_ms + pause;
                if !self.backoff.is_failing() {
                    eprintln!("The Wi-Fi program {PROGRAM} could not be started: {error}.");
                }
            }
        }
    }

    fn spawn(&self, link: &Link) -> io::Result<Child> {
        let path = self.files.path("wpa.conf");
        self.write_config(&path)?;
        let mut command = Command::new(PROGRAM);
        // Its words come by the control socket; its log might repeat lines of the configuration.
        command
            .args(["-D", "nl80211", "-i", &link.name, "-c"])
            .arg(path)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        privileges::lend(|| command.spawn())
    }

    fn write_config(&self, path: &PathBuf) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let text = config::render(&self.wish, self.country.as_deref(), &self.control_folder());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
    }

    fn control_folder(&self) -> PathBuf {
        self.files.path("wpa")
    }

    fn listen(&mut self) {
        let (folder, own) = (self.control_folder(), self.files.path("wpa-words"));
        let Some(process) = &mut self.process else { return };
        if process.control.is_none() {
            // The program makes its socket a moment after it started.
            process.control = attach(&folder.join(&process.link.name), &own).ok();
        }
        let Some(control) = &process.control else { return };
        let before = self.state;
        let mut buffer = [0; WIFI_WORD_BYTES_MAX];
        for _ in 0..WIFI_WORDS_MAX {
            let Ok(length) = control.recv(&mut buffer) else { break };
            self.state = words::next(self.state, &String::from_utf8_lossy(&buffer[..length]));
        }
        if self.state != before {
            self.on_change();
        }
    }

    fn on_change(&self) {
        let Some(process) = &self.process else { return };
        match self.state {
            WifiState::Joined => {
                eprintln!("The box joined its Wi-Fi network.");
                // Saving power costs seconds whenever somebody writes to an idle box.
                if let Err(error) = power::save_off(process.link.index) {
                    eprintln!("Power saving of the radio stays on: {error}.");
                }
            }
            _ => self.complaint().iter().for_each(|complaint| eprintln!("{complaint}")),
        }
    }
}

/// Connects to the program's control socket and asks for its words.
fn attach(theirs: &std::path::Path, own: &std::path::Path) -> io::Result<UnixDatagram> {
    match fs::remove_file(own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(own)?;
    socket.connect(theirs)?;
    socket.set_nonblocking(true)?;
    socket.send(b"ATTACH")?;
    socket.send(b"STATUS")?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
