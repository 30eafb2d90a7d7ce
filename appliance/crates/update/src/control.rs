//! The protocol on the unix socket between `linnet-init` and `linnetd`.
//! A frame is a u32 (little endian) length and that many bytes of postcard. Both programs come
//! from the same image, so the types may change with every release; they are closed all the same:
//! what is not named here cannot be asked of pid 1. Works on any `Read` and `Write`.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::claim::{ProvisioningId, TokenHash};
use crate::cut;
use crate::limits::{CONTROL_FRAME_BYTES_MAX, SENTENCE_BYTES_MAX};
use crate::slots::{BootVerdict, Slot, SlotState};

mod board;
mod network;
mod settings;

pub use board::{BoardHealth, EndKind, LastEnd};
pub use network::{ClockReport, ClockSource, FromNet, LinkKind, NetSettings, Network, WifiState};
pub use settings::{Setting, WifiChoice};

/// Where `linnet-init` listens.
pub const SOCKET_PATH: &str = "/run/linnet/init.sock";

/// Version of this protocol; a mismatch means that two releases were mixed.
pub const VERSION: u16 = 2;

/// What `linnetd` says to init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToInit {
    /// First frame after connecting. Answer: [`FromInit::Welcome`].
    Hello {
        /// [`VERSION`].
        version: u16,
        /// `linnetd`'s release, for the log.
        release: String,
    },
    /// Result of the last look through the health device; at least every few seconds. No answer.
    Health(Health),
    /// What the LED should say while nothing more urgent is to be said. No answer.
    LedHint(LedHint),
    /// The box was claimed with this provisioning. Answer: [`FromInit::Done`], once on the card.
    ClaimSpent {
        /// The id that must never work again.
        id: ProvisioningId,
    },
    /// Answer: [`FromInit::Status`].
    Status,
    /// The newest lines of init's log ring. Answer: [`FromInit::Logs`].
    ReadLogs {
        /// How many; more than the ring holds is not an error.
        lines_max: u16,
    },
    /// Orderly shutdown, then start again. Answer: [`FromInit::Done`], then [`FromInit::Shutdown`].
    Reboot,
    /// Orderly shutdown, then power off. Answer: [`FromInit::Done`], then [`FromInit::Shutdown`].
    PowerOff,
    /// The time of a signed-in owner's device, in milliseconds since 1970. Answer:
    /// [`FromInit::Done`].
    SetTime {
        /// What the clock shall say.
        unix_ms: u64,
    },
    /// An owner changes a setting. Answer: [`FromInit::Done`], once on the card.
    Set(Setting),
    /// Erase everything that people made, after the owner proved anew who he is. Answer:
    /// [`FromInit::Done`] once it can no longer be taken back, then [`FromInit::Shutdown`].
    FactoryReset,
}

impl ToInit {
    /// Whether init answers it; answers come in the order of such requests.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Self::Health(_) | Self::LedHint(_))
    }
}

/// What init says to `linnetd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromInit {
    /// Answer to [`ToInit::Hello`].
    Welcome(Box<Welcome>),
    /// Answer to [`ToInit::Status`].
    Status(Box<Status>),
    /// Answer to [`ToInit::ReadLogs`], oldest first.
    Logs {
        /// At most `LOG_LINES_MAX` lines of at most `LOG_LINE_BYTES_MAX` bytes.
        lines: Vec<String>,
    },
    /// The request was carried out, or has begun where it ends the connection.
    Done,
    /// The request was not carried out.
    Refused {
        /// One sentence for a person.
        reason: String,
    },
    /// An address came, went or changed: names and certificates may need a new look.
    Network(Network),
    /// The owner gave the box another name.
    HostName {
        /// The name, without `.local`.
        name: String,
    },
    /// Finish what is acked and exit; init waits this long before it kills.
    Shutdown {
        /// Time to the kill.
        grace_ms: u32,
    },
}

/// `linnetd`'s opinion of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// A loopback client logged in, posted and read back through the health device.
    pub ok: bool,
    /// One sentence: what is wrong, or what is being done.
    pub detail: String,
    /// The boot nonce from [`Welcome`], echoed by the health device's own round trip.
    pub nonce: Option<String>,
    /// Counts finished work (batches, replayed records). It only grows; standing still while not
    /// `ok` means stuck.
    pub progress: u64,
    /// Whether the box has an owner.
    pub claimed: bool,
}

/// Hints for the LED, least urgent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LedHint {
    /// Less than the reserve is left on the card.
    CardNearlyFull,
    /// Replay, rebuild or restore is going on.
    LongWork,
    /// Nothing of the above.
    Nothing,
}

/// All that `linnetd` needs to know about its box and this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`].
    pub version: u16,
    /// How the box may be claimed in this boot.
    pub claim: ClaimOffer,
    /// Host name in use.
    pub host_name: String,
    /// Nonce from the kernel command line that [`Health`] must carry back.
    pub boot_nonce: Option<String>,
    /// Why DATA could not be used; `linnetd` then serves the rescue page only.
    pub rescue: Option<String>,
    /// Facts about the board.
    pub facts: BoxFacts,
    /// Addresses at this moment.
    pub network: Network,
    /// Complaints about the provisioning file, for the setup page.
    pub complaints: Vec<String>,
}

/// How the box may be claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimOffer {
    /// By whoever holds the token of the provisioning file.
    Provisioned {
        /// To be reported back with [`ToInit::ClaimSpent`].
        id: ProvisioningId,
        /// Hash of the token.
        hash: TokenHash,
    },
    /// By whoever reads the console: the token was minted in this boot and shown there.
    Console {
        /// Hash of the token.
        hash: TokenHash,
    },
}

/// What the box is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoxFacts {
    /// Board name from the device tree.
    pub board: String,
    /// Release of the running image, from /etc/linnet-release.
    pub release: String,
    /// Kernel release.
    pub kernel: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Slot that the running system came from, where it is known.
    pub slot: Option<Slot>,
}

/// Answer to a status request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Time since the kernel started, in milliseconds.
    pub uptime_ms: u64,
    /// The two slots, A first.
    pub slots: [SlotState; 2],
    /// What this boot found about slots and trial, where the boot loader told.
    pub boot: Option<BootVerdict>,
    /// How often `linnetd` was started in this boot.
    pub starts: u32,
    /// Whether the clock was set in this boot by more than the floor.
    pub clock_set: bool,
    /// The last time that it was set or found right, and by what.
    pub clock: Option<ClockReport>,
    /// Whether a hardware watchdog is open.
    pub watchdog: bool,
    /// The network.
    pub network: Network,
    /// Host name that was set.
    pub host_name: String,
    /// Time zone that was set.
    pub time_zone: Option<String>,
    /// Power, heat and card.
    pub board: BoardHealth,
    /// How the boot before this one ended, where that is known.
    pub last_end: Option<LastEnd>,
    /// What the owner should know of all this: at most `NOTES_MAX` sentences.
    pub notes: Vec<String>,
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket failed.
    #[error("the control socket failed: {0}")]
    Io(#[from] io::Error),
    /// The other end closed in the middle of a frame.
    #[error("the control socket was closed in the middle of a frame")]
    Truncated,
    /// A length above [`CONTROL_FRAME_BYTES_MAX`].
    #[error("a control frame of {bytes} bytes is above the limit of {CONTROL_FRAME_BYTES_MAX}")]
    TooLong {
        /// The length that was asked for.
        bytes: usize,
    },
    /// Bytes that are no frame of this release.
    #[error("a control frame is not one of this release; init and linnetd must be of one image")]
    Malformed,
}

/// Encodes one frame, length included.
///
/// # Errors
/// [`ControlError::TooLong`] when the message does not fit into a frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, ControlError> {
    let mut frame =
        postcard::to_extend(message, vec![0u8; 4]).map_err(|_| ControlError::Malformed)?;
    let bytes = frame.len() - 4;
    if bytes > CONTROL_FRAME_BYTES_MAX {
        return Err(ControlError::TooLong { bytes });
    }
    let length = u32::try_from(bytes).expect("CONTROL_FRAME_BYTES_MAX fits into 32 bits");
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Writes one frame with a single `write_all`.
///
/// # Errors
/// As [`encode`], or what the writer says.
pub fn write_frame<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), ControlError> {
    to.write_all(&encode(message)?)?;
    Ok(())
}

/// Reads one frame; `None` when the other end closed between frames.
///
/// # Errors
/// [`ControlError`]; after any of them the connection is of no further use.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>, ControlError> {
    let mut header = [0u8; 4];
    if !read_first(from, &mut header)? {
        return Ok(None);
    }
    let mut body = vec![0u8; body_length(header)?];
    from.read_exact(&mut body).map_err(truncated)?;
    decode_body(&body).map(Some)
}

/// The length that a frame's first four bytes ask for, checked.
///
/// # Errors
/// [`ControlError::TooLong`].
pub fn body_length(header: [u8; 4]) -> Result<usize, ControlError> {
    let bytes = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if bytes > CONTROL_FRAME_BYTES_MAX {
        return Err(ControlError::TooLong { bytes });
    }
    Ok(bytes)
}

/// Decodes a frame's body; every byte must be used.
///
/// # Errors
/// [`ControlError::Malformed`].
pub fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        _ => Err(ControlError::Malformed),
    }
}

/// Cuts a sentence to the length that a frame may carry, at a character boundary.
pub fn sentence(text: &str) -> String {
    cut(text, SENTENCE_BYTES_MAX).to_owned()
}

/// Fills `header`; `false` when there is not even a first byte.
fn read_first(from: &mut impl Read, header: &mut [u8; 4]) -> Result<bool, ControlError> {
    loop {
        match from.read(&mut header[..1]) {
            Ok(0) => return Ok(false),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    from.read_exact(&mut header[1..]).map_err(truncated)?;
    Ok(true)
}

fn truncated(error: io::Error) -> ControlError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ControlError::Truncated,
        _ => ControlError::Io(error),
    }
}

#[cfg(test)]
mod tests;
