//! The rings through real sockets on loopback, with clients that share no code with the ring.
//!
//! Where the kernel refuses io_uring every test says so and is skipped.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is an assertion")]

mod churn;
mod closing;
mod hostile;
mod load;
mod pace;
mod protocols;
mod rig;
mod slow;
mod tls;
