//! What holds for a session on every transport: native frames, its pace, the rules for a slow
//! reader, and what it is told by the thread that holds it. Pure; the time is passed in.
//!
//! Crates `ring` and `quic` use it, which never see each other.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod answers;
pub mod limits;
pub mod native;
pub mod pace;
pub mod slow;
