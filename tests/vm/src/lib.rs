//! The emulated Pi: a stand-in for the VideoCore bootloader that starts QEMU with what the card
//! says, a console and monitor to drive it, and the write log from which power cuts are made.
//! Used by `cargo xtask emulate` and by the tests; software emulation only.

#![forbid(unsafe_code)]

pub mod console;
pub mod counting;
pub mod device_tree;
pub mod gpio;
pub mod lab;
pub mod lan;
pub mod machine;
pub mod owner;
pub mod pi;
pub mod ports;
pub mod qmp;
pub mod scenarios;
pub mod standin;
pub mod writelog;

pub use machine::{Between, Clock, Machine, Network};
pub use pi::{Options, Pi};
