//! How a program talks to a box: find it ([`Host`]), know it ([`Trust`]), ask it ([`Http`]), chat
//! with it ([`Session`], [`Outbox`], [`Mirror`]).

mod claim;
mod error;
mod host;
mod http;
mod mirror;
mod outbox;
mod quic;
mod session;
mod tls;

pub use claim::{NewOwner, SignedIn, claim, first_contact, login};
pub use error::ClientError;
pub use host::Host;
pub use http::{Http, Refusal};
pub use mirror::{Mirror, Missed, News};
pub use outbox::{Command, Outbox, Pending, Settled};
pub use session::Session;
pub use tls::{Fingerprint, Trust, session_tls};
