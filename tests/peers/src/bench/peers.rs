//! Other servers: which there are, how each is configured and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Bench;
use super::install;
use super::server::{Launch, free_address};
use crate::dialects::BUN_SCRIPT;

/// A server that people would run instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Mosquitto,
    /// The same; publishers wait for QoS 1's acknowledgement.
    MosquittoQos1,
    Nats,
    /// A file stream; the acknowledgement does not wait for the disk.
    JetStream,
    /// A file stream with `sync_interval: always`.
    JetStreamSync,
    Bun,
    Ejabberd,
    Prosody,
}

impl Peer {
    pub(super) const ALL: [Self; 8] = [
        Self::Mosquitto,
        Self::MosquittoQos1,
        Self::Nats,
        Self::JetStream,
        Self::JetStreamSync,
        Self::Bun,
        Self::Ejabberd,
        Self::Prosody,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::MosquittoQos1 => "mosquitto, QoS 1 (no sync)",
            Self::Nats => "NATS",
            Self::JetStream => "JetStream (no sync)",
            Self::JetStreamSync => "JetStream, sync always",
            Self::Bun => "Bun (uWebSockets)",
            Self::Ejabberd => "ejabberd",
            Self::Prosody => "Prosody",
        }
    }

    /// A name of [`crate::loader::Protocol`].
    pub(super) const fn protocol(self) -> &'static str {
        match self {
            Self::Mosquitto => "mqtt",
            Self::MosquittoQos1 => "mqtt-qos1",
            Self::Nats => "nats",
            Self::JetStream | Self::JetStreamSync => "jetstream",
            Self::Bun => "websocket",
            Self::Ejabberd | Self::Prosody => "xmpp",
        }
    }

    /// Its configuration, with places for port and folder.
    pub(super) const fn configuration(self) -> (&'static str, &'static str) {
        match self {
            Self::Mosquitto | Self::MosquittoQos1 => {
                ("mosquitto.conf", include_str!("configurations/mosquitto.conf"))
            }
            Self::Nats => ("nats.conf", include_str!("configurations/nats.conf")),
            Self::JetStream => ("jetstream.conf", include_str!("configurations/jetstream.conf")),
            Self::JetStreamSync => {
                ("jetstream-sync.conf", include_str!("configurations/jetstream-sync.conf"))
            }
            Self::Bun => ("bun.js", BUN_SCRIPT),
            Self::Ejabberd => ("ejabberd.yml", include_str!("configurations/ejabberd.yml")),
            Self::Prosody => ("prosody.cfg.lua", include_str!("configurations/prosody.cfg.lua")),
        }
    }

    /// How it is started, in a folder of its own.
    pub(super) fn launch(self, _bench: &Bench, folder: PathBuf) -> Result<Launch> {
        let address = free_address()?;
        let (name, text) = self.configuration();
        let file = folder.join(name);
        let text = text
            .replace("@PORT@", &address.port().to_string())
            .replace("@FOLDER@", &folder.display().to_string());
        std::fs::write(&file, text)?;
        let launch = Launch::new(self.program()?, address);
        let (file, port) = (file.display().to_string(), address.port().to_string());
        Ok(match self {
            Self::Mosquitto | Self::MosquittoQos1 | Self::Nats => launch.with(&["-c", &file]),
            Self::JetStream | Self::JetStreamSync => launch.with(&["-c", &file]),
            Self::Bun => launch.with(&["run", &file, &port]),
            Self::Prosody => launch.with(&["--config", &file]),
            Self::Ejabberd => ejabberd(launch, &file, &folder),
        })
    }

    /// Where its program is; none when it is not installed.
    pub(super) fn program(self) -> Result<PathBuf> {
        let candidates = match self {
            Self::Mosquitto | Self::MosquittoQos1 => vec![PathBuf::from("/usr/sbin/mosquitto")],
            // Debian 12's own, 2.9, does not know `sync_interval: always`.
            Self::JetStreamSync => vec![install::newer_nats()],
            Self::Nats | Self::JetStream => {
                vec![install::newer_nats(), PathBuf::from("/usr/sbin/nats-server")]
            }
            Self::Bun => vec![install::bun()],
            Self::Ejabberd => vec![PathBuf::from("/usr/bin/erl")],
            Self::Prosody => vec![PathBuf::from("/usr/bin/prosody")],
        };
        let found = candidates.into_iter().find(|path| path.exists());
        found.with_context(|| format!("{} is not installed (--install)", self.label()))
    }

    /// What it says it is.
    pub(super) fn version(self) -> Option<String> {
        let program = self.program().ok()?;
        let (program, arguments) = match self {
            Self::Mosquitto | Self::MosquittoQos1 => (program, vec!["-h"]),
            Self::Ejabberd => ("dpkg-query".into(), vec!["-W", "ejabberd", "erlang-base"]),
            Self::Prosody => ("dpkg-query".into(), vec!["-W", "prosody"]),
            Self::Bun | Self::Nats | Self::JetStream | Self::JetStreamSync => {
                (program, vec!["--version"])
            }
        };
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().map(str::trim).take(2).collect();
        let lines = if self == Self::Ejabberd { lines.as_slice() } else { lines.get(..1)? };
        Some(lines.join(", ").replace('\t', " "))
    }
}

/// Erlang without distribution, so that no port mapper is left behind.
fn ejabberd(mut launch: Launch, file: &str, folder: &Path) -> Launch {
    let folder = folder.display().to_string();
    for (name, value) in [
        ("ERL_LIBS", "/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu"),
        ("EJABBERD_CONFIG_PATH", file),
        ("EJABBERD_LOG_PATH", &format!("{folder}/ejabberd.log")),
        ("EJABBERD_MACRO_HOST", "localhost"),
        ("HOME", &folder),
    ] {
        launch.environment.push((name.to_owned(), value.to_owned()));
    }
    let mnesia = format!("\"{folder}/mnesia\"");
    launch
        .with(&["-noinput", "+K", "true", "+P", "250000", "-mnesia", "dir", &mnesia])
        .with(&["-s", "ejabberd"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_has_a_place_for_its_port() {
        for peer in Peer::ALL {
            let (name, text) = peer.configuration();
            assert!(text.contains("@PORT@") || peer == Peer::Bun, "{name}");
        }
    }
}
