//! The log through its public interface, on the fault-injecting, the slow and the real disk.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod common;
mod crashes;
mod fault_disk;
mod golden;
mod guard;
mod recovery;
mod writer;
