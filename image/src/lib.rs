//! The card image from one manifest: partitions, boot files, provisioning. Only the source of parts
//! differs between a release and the emulator; both go through this code. Used by `cargo xtask`
//! and by the emulated Pi (partition table, FAT).

#![forbid(unsafe_code)]

pub mod apt;
pub mod audit;
pub mod boot;
pub mod card;
pub mod debian;
pub mod fat;
pub mod initramfs;
pub mod layout;
pub mod manifest;
pub mod mbr;
pub mod pack;
pub mod provision;
pub mod publish;
pub mod release;
pub mod root;
pub mod size;
pub mod symbols;
pub mod window;

pub use layout::Layout;
pub use manifest::Manifest;
