//! What Linnet is measured against: the kernel's floor and other servers, all loaded by the same
//! generator (`tools/load`); and the seeding of data folders for such runs.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod bench;
pub mod dialects;
pub mod floor;
pub mod limits;
pub mod loader;
pub mod seed;
