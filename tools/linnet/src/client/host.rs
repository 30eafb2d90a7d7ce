//! Where a box is: `linnet.local`, `192.168.1.4:8443`, `[fd00::1]`, or a whole `https://` address.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const HTTPS_PORT: u16 = 443;

/// Name or address of a box and its HTTPS port, on which sessions are spoken as well, unless they
/// go over QUIC. That is a choice of one run: it is neither shown nor stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host {
    name: String,
    port: u16,
    quic_port: Option<u16>,
}

/// The text names no host.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the address of a box; write for example linnet.local or 192.168.1.4:8443")]
pub struct HostError(String);

impl Host {
    /// What the system's resolver takes: without brackets.
    #[must_use]
    pub fn resolvable(&self) -> (&str, u16) {
        let bare = self.name.trim_start_matches('[').trim_end_matches(']');
        (bare, self.port)
    }

    /// The same box, but sessions go over QUIC to this UDP port.
    #[must_use]
    pub fn over_quic(self, port: u16) -> Self {
        Self { quic_port: Some(port), ..self }
    }

    /// Where sessions go over QUIC, if they do.
    #[must_use]
    pub fn quic_port(&self) -> Option<u16> {
        self.quic_port
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            HTTPS_PORT => self.name.fmt(f),
            port => write!(f, "{}:{port}", self.name),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let error = || HostError(text.to_owned());
        let rest = text.strip_prefix("https://").unwrap_or(text);
        let authority = rest.split(['/', '#', '?']).next().unwrap_or("");
        let authority: http::uri::Authority = authority.parse().map_err(|_| error())?;
        let (name, port) = (authority.host(), authority.port_u16());
        let odd = authority.as_str().contains('@') || name.is_empty();
        let port_unread = port.is_none() && authority.as_str().len() > name.len();
        if odd || port_unread || port == Some(0) {
            return Err(error());
        }
        let (name, port) = (name.to_ascii_lowercase(), port.unwrap_or(HTTPS_PORT));
        Ok(Self { name, port, quic_port: None })
    }
}

impl TryFrom<String> for Host {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_box_is_understood() {
        for (text, shown, resolvable) in [
            ("linnet.local", "linnet.local", ("linnet.local", 443)),
            ("Linnet.local:443", "linnet.local", ("linnet.local", 443)),
            ("10.0.0.2:8443", "10.0.0.2:8443", ("10.0.0.2", 8443)),
            ("https://[fd00::1]:8443/x#y", "[fd00::1]:8443", ("fd00::1", 8443)),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.to_string().as_str(), host.resolvable()), (shown, resolvable));
        }
    }

    #[test]
    fn quic_is_a_choice_of_one_run() {
        let host: Host = "10.0.0.2:8443".parse().unwrap();
        let quic = host.clone().over_quic(7443);
        assert_eq!((quic.quic_port(), quic.to_string()), (Some(7443), host.to_string()));
        assert_eq!(String::from(quic).parse::<Host>().unwrap(), host);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "https://", "a b", "me@linnet.local", "linnet.local:0", "x:99999"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
