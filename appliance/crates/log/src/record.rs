//! Records and where they are found. The payload is opaque here: its meaning lives in `wire`
//! (types) and `chat` (what they do).

/// One durable change, as it goes into the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What the payload is; numbers are never reused.
    pub kind: u16,
    /// Server time in milliseconds since 1970.
    pub time_ms: u64,
    /// User that caused the change; 0 when the box itself did.
    pub actor: u32,
    /// Device of that user; 0 when none.
    pub device: u32,
    /// The device's own number of the command; 0 when none.
    pub counter: u64,
    /// At most `limits::PAYLOAD_BYTES_MAX` bytes.
    pub payload: Vec<u8>,
}

/// Where a record lies. A hint for speed: compaction may move bytes, never offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Segment id, from 1, never reused.
    pub segment: u32,
    /// First byte of the batch inside the segment.
    pub byte: u32,
    /// Index of the record inside the batch.
    pub index: u16,
}

/// A record as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Global order: 1, 2, 3, ... without holes.
    pub offset: u64,
    pub position: Position,
    pub record: Record,
}

/// Offsets `first..=last` whose records cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    pub segment: u32,
    pub first: u64,
    pub last: u64,
}

impl DamagedRange {
    /// Number of records lost.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.last - self.first + 1
    }

    #[must_use]
    pub const fn contains(&self, offset: u64) -> bool {
        self.first <= offset && offset <= self.last
    }
}

/// What an iteration over the log yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Record(Stored),
    /// These records are lost; the next item continues behind them.
    Damaged(DamagedRange),
}
