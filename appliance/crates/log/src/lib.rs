//! The segment log: the truth on disk. One writer appends batches to pre-written segments with one
//! write and one fdatasync each; recovery makes the tail durable before anybody reads it; damage
//! is told apart from a torn tail and served around. FORMAT.md describes the bytes. Called by the
//! disk thread (`Log`), the index thread (`Shelf`, `LogReader`) and replay (`ReplayGuard`).

#![forbid(unsafe_code)]

mod batch;
pub mod disk;
mod error;
pub mod format;
mod guard;
pub mod limits;
mod names;
mod options;
mod reader;
mod record;
mod recovery;
mod rescue;
mod scan;
mod shelf;
mod walk;
mod writer;

pub use batch::Batch;
pub use disk::{Disk, DiskError, FaultDisk, FaultStats, ReadFrom, RealDisk, SlowDisk, SlowSpeed};
pub use error::LogError;
pub use guard::{ReplayGuard, Replayed, Verdict};
pub use names::SegmentName;
#[cfg(feature = "mutants")]
pub use options::Mutant;
pub use options::{OpenFrom, Options};
pub use reader::{LogIter, LogReader};
pub use record::{DamagedRange, Item, Position, Record, Stored};
pub use recovery::{OpenOutcome, Opened, RecoveryReport};
pub use rescue::Rescue;
pub use scan::{Findings, TailDropped};
pub use shelf::Shelf;
pub use writer::{Appended, Log};
