//! The card image from one manifest: partitions, boot files, provisioning. Only the source of parts
//! differs between a release and the emulator; both go through this code. Used by `cargo xtask`,
//! by the emulated Pi (partition table, FAT) and, without the feature `build`, by the CLI.

#![forbid(unsafe_code)]

#[cfg(feature = "build")]
pub mod apt;
#[cfg(feature = "build")]
pub mod audit;
pub mod boot;
#[cfg(feature = "build")]
pub mod bundle;
pub mod card;
#[cfg(feature = "build")]
pub mod debian;
pub mod fat;
pub mod flash;
#[cfg(feature = "build")]
pub mod initramfs;
#[cfg(feature = "build")]
pub mod keys;
pub mod layout;
pub mod manifest;
pub mod mbr;
#[cfg(feature = "build")]
pub mod offline;
#[cfg(feature = "build")]
pub mod pack;
pub mod provision;
#[cfg(feature = "build")]
pub mod publish;
#[cfg(feature = "build")]
pub mod release;
#[cfg(feature = "build")]
pub mod root;
#[cfg(feature = "build")]
pub mod size;
#[cfg(feature = "build")]
pub mod symbols;
pub mod window;

pub use layout::Layout;
pub use manifest::Manifest;
