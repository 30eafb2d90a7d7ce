//! One binary for every test against a real `linnetd`.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is an assertion")]

#[path = "cases/backup.rs"]
mod backup;
#[path = "cases/bench.rs"]
mod bench;
#[path = "cases/chat.rs"]
mod chat;
#[path = "cases/commands.rs"]
mod commands;
#[path = "cases/control.rs"]
mod control;
#[path = "cases/crash.rs"]
mod crash;
#[path = "cases/damage.rs"]
mod damage;
#[path = "cases/doors.rs"]
mod doors;
#[path = "cases/floods.rs"]
mod floods;
#[path = "cases/frames.rs"]
mod frames;
#[path = "cases/full.rs"]
mod full;
#[path = "cases/greedy.rs"]
mod greedy;
#[path = "cases/load.rs"]
mod load;
#[path = "cases/noise.rs"]
mod noise;
#[path = "cases/quic.rs"]
mod quic;
#[path = "cases/slowloris.rs"]
mod slowloris;
#[path = "cases/tls.rs"]
mod tls;
