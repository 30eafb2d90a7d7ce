//! Names of the files in the log's folder. A segment's name carries what must survive damage to
//! its bytes: its id, the offset it starts with, and the secret id of the log.

/// `seg-<id>-<first offset>-<log id>`, all hexadecimal with leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    pub id: u32,
    pub first_offset: u64,
    pub log_id: u64,
}

impl SegmentName {
    #[must_use]
    pub fn file(&self) -> String {
        format!("seg-{:08x}-{:016x}-{:016x}", self.id, self.first_offset, self.log_id)
    }

    /// The reverse of `file`; `None` for any other name.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        let mut parts = file.strip_prefix("seg-")?.split('-');
        let name = Self {
            id: u32::from_str_radix(parts.next()?, 16).ok()?,
            first_offset: u64::from_str_radix(parts.next()?, 16).ok()?,
            log_id: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        (name.file() == file && name.id > 0 && name.first_offset > 0).then_some(name)
    }
}

/// What a file in the log's folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment(SegmentName),
    /// Pre-written and synced; may become the next segment.
    Spare(u32),
    /// As a spare, but kept back for a full card.
    Reserve(u32),
    /// Being written when the program stopped: removed at the next start.
    Unfinished,
    /// Not a segment: the replay guard, the quarantine list, or a stranger's file.
    Other,
}

impl FileKind {
    #[must_use]
    pub(crate) fn of(file: &str) -> Self {
        if let Some(name) = SegmentName::parse(file) {
            return Self::Segment(name);
        }
        if let Some(number) = numbered(file, "spare-") {
            return Self::Spare(number);
        }
        if let Some(number) = numbered(file, "reserve-") {
            return Self::Reserve(number);
        }
        if file.starts_with("new-") { Self::Unfinished } else { Self::Other }
    }
}

/// A pre-written segment that awaits use.
#[must_use]
pub(crate) fn spare(number: u32) -> String {
    format!("spare-{number:08x}")
}

/// A pre-written segment that is kept back.
#[must_use]
pub(crate) fn reserve(number: u32) -> String {
    format!("reserve-{number:08x}")
}

/// A file being written; renamed when it is complete and synced.
#[must_use]
pub(crate) fn unfinished(number: u32) -> String {
    format!("new-{number:08x}")
}

fn numbered(file: &str, prefix: &str) -> Option<u32> {
    let digits = file.strip_prefix(prefix)?;
    if digits.len() != 8 {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_name_survives_the_round_trip() {
        let name = SegmentName { id: 7, first_offset: 0x1234, log_id: 0xdead_beef };
        assert_eq!(FileKind::of(&name.file()), FileKind::Segment(name));
    }

    #[test]
    fn names_that_are_nearly_right_are_strangers() {
        for file in [
            "seg-00000000-0000000000000001-0000000000000001",
            "seg-00000001-0000000000000000-0000000000000001",
            "seg-1-1-1",
            "seg-00000001-0000000000000001-0000000000000001-x",
            "seg-+0000001-0000000000000001-0000000000000001",
            "spare-1",
            "spare-0000000g",
        ] {
            assert_eq!(FileKind::of(file), FileKind::Other, "{file}");
        }
    }

    #[test]
    fn spares_reserves_and_unfinished_files_are_told_apart() {
        assert_eq!(FileKind::of(&spare(3)), FileKind::Spare(3));
        assert_eq!(FileKind::of(&reserve(4)), FileKind::Reserve(4));
        assert_eq!(FileKind::of(&unfinished(5)), FileKind::Unfinished);
    }
}
