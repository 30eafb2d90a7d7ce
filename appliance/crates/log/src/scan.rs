//! Judges what a walk over a segment finds: sealed segments (damage is served around) and the
//! tail segment (torn tail against damage). Pure over `Source`.

use crate::disk::DiskError;
use crate::format::{Hash, Header};
use crate::record::DamagedRange;
use crate::walk::{Source, Step, Walker, payload};

/// Counts and damage of the segments scanned so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub batches: u64,
    /// Readable records.
    pub records: u64,
    pub damage: Vec<DamagedRange>,
    /// Places where one header does not continue the one before it.
    pub chain_breaks: u64,
    /// Highest `durable_up_to` of any header.
    pub durable_up_to: u64,
}

impl Findings {
    fn lose(&mut self, segment: u32, first: u64, last: u64) {
        match self.damage.last_mut() {
            Some(range) if range.segment == segment && range.last + 1 == first => range.last = last,
            _ => self.damage.push(DamagedRange { segment, first, last }),
        }
    }

    fn count(&mut self, header: &Header) {
        self.batches += 1;
        self.durable_up_to = self.durable_up_to.max(header.durable_up_to);
    }

    /// Counts a batch record by record; only payloads that fail their hash are lost.
    fn check_each<S: Source>(
        &mut self,
        source: &mut S,
        segment: u32,
        at: u64,
        header: &Header,
    ) -> Result<(), DiskError> {
        for index in 0..header.entries.len() {
            let (entry, bytes) = payload(source, at, header, index)?;
            if entry.matches(bytes) {
                self.records += 1;
            } else {
                let offset = header.first_offset + index as u64;
                self.lose(segment, offset, offset);
            }
        }
        Ok(())
    }
}

/// How carefully payloads are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// CRC of each batch; the BLAKE3 of payloads only where the CRC fails.
    Crc,
    /// The BLAKE3 of every payload.
    Hash,
}

/// Scans a segment that ends before `end_offset` and reports every offset it should hold and
/// cannot give.
pub(crate) fn scan_sealed<S: Source>(
    walker: &mut Walker<S>,
    segment: u32,
    end_offset: u64,
    care: Care,
    findings: &mut Findings,
) -> Result<(), DiskError> {
    loop {
        match walker.step()? {
            Step::Batch { header, intact: true, .. } if care == Care::Crc => {
                findings.count(&header);
                findings.records += header.entries.len() as u64;
            }
            Step::Batch { at, header, .. } => {
                findings.count(&header);
                findings.check_each(&mut walker.source, segment, at, &header)?;
            }
            Step::Gap { first, next, .. } if first == next => findings.chain_breaks += 1,
            Step::Gap { first, next, .. } => findings.lose(segment, first, next - 1),
            Step::End { .. } => break,
        }
    }
    if walker.next_offset() < end_offset {
        findings.lose(segment, walker.next_offset(), end_offset - 1);
    }
    Ok(())
}

/// A batch that is whole and in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) bytes: usize,
}

/// What is known of the tail segment up to its last good batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    /// Where the next batch goes.
    pub(crate) at: u64,
    pub(crate) next_offset: u64,
    pub(crate) previous: Option<Hash>,
    pub(crate) last_good: Option<Place>,
}

/// A torn batch at the end of the log, never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailDropped {
    pub segment: u32,
    pub byte: u64,
    pub first_offset: u64,
    /// Known when the header survived.
    pub records: Option<u64>,
}

/// The verdict on the tail segment.
#[derive(Debug)]
pub(crate) enum TailVerdict {
    Sound {
        tail: Tail,
        dropped: Option<TailDropped>,
    },
    /// Records that may have been acknowledged are unreadable. `next_offset` is past every offset
    /// that can have been given out.
    Damaged {
        next_offset: u64,
    },
}

/// Scans the last segment. `applied_offset` is what the store already applied; `keep_torn` is a
/// deliberate fault of the simulator.
pub(crate) fn scan_tail<S: Source>(
    walker: &mut Walker<S>,
    segment: u32,
    applied_offset: u64,
    keep_torn: bool,
    findings: &mut Findings,
) -> Result<TailVerdict, DiskError> {
    let before = tail_of(walker, None);
    let mut scan = TailScan {
        segment,
        keep_torn,
        sound: before,
        before_suspect: findings.clone(),
        suspect: None,
        past_suspect: false,
    };
    loop {
        if scan.suspect.is_none() {
            scan.before_suspect.clone_from(findings);
        }
        match walker.step()? {
            Step::Batch { at, header, intact } => {
                scan.batch(walker, at, &header, intact, findings)?;
            }
            Step::Gap { at, first, next } => scan.gap(walker.at(), at, first, next, findings),
            Step::End { at } => {
                let torn = residue(&mut walker.source, at)?;
                // What cannot be read may have been acknowledged.
                scan.past_suspect |= walker.source.met_unreadable();
                return Ok(scan.verdict(walker.next_offset(), applied_offset, torn, findings));
            }
        }
    }
}

struct TailScan {
    segment: u32,
    keep_torn: bool,
    sound: Tail,
    before_suspect: Findings,
    /// The first batch that is not right: torn, or damaged.
    suspect: Option<Suspect>,
    /// The suspect cannot be a torn tail: something valid lies behind it, so it was synced once;
    /// or the device cannot read.
    past_suspect: bool,
}

struct Suspect {
    at: u64,
    first_offset: u64,
    records: Option<u64>,
}

impl TailScan {
    fn batch<S: Source>(
        &mut self,
        walker: &mut Walker<S>,
        at: u64,
        header: &Header,
        intact: bool,
        findings: &mut Findings,
    ) -> Result<(), DiskError> {
        findings.count(header);
        if self.suspect.as_ref().is_some_and(|suspect| suspect.at != at) {
            self.past_suspect = true;
        }
        if intact || self.keep_torn {
            findings.records += header.entries.len() as u64;
        } else {
            findings.check_each(&mut walker.source, self.segment, at, header)?;
            self.suspect(at, header.first_offset, Some(header.entries.len() as u64));
        }
        if self.suspect.is_none() {
            let place = Place { at, bytes: header.total_bytes() };
            self.sound = tail_of(walker, Some(place));
        }
        Ok(())
    }

    fn gap(&mut self, found_at: u64, at: u64, first: u64, next: u64, findings: &mut Findings) {
        if first == next {
            findings.chain_breaks += 1;
        } else {
            findings.lose(self.segment, first, next - 1);
        }
        self.past_suspect |= self.suspect.is_some() || found_at != at || first != next;
        self.suspect(at, first, None);
    }

    fn suspect(&mut self, at: u64, first_offset: u64, records: Option<u64>) {
        self.suspect.get_or_insert(Suspect { at, first_offset, records });
    }

    /// Tail only if nothing valid chains past it and it lies above everything known durable.
    fn verdict(
        self,
        seen_next: u64,
        applied_offset: u64,
        torn: bool,
        findings: &mut Findings,
    ) -> TailVerdict {
        let tail = self.sound;
        let durable = findings.durable_up_to.max(applied_offset);
        if self.past_suspect || tail.next_offset <= durable {
            if seen_next <= durable {
                findings.lose(self.segment, seen_next, durable);
            }
            return TailVerdict::Damaged { next_offset: seen_next.max(durable + 1) };
        }
        let segment = self.segment;
        let dropped = match self.suspect {
            Some(suspect) => {
                // Dropped, not damaged: nobody was told that these records exist.
                *findings = self.before_suspect;
                Some((suspect.at, suspect.first_offset, suspect.records))
            }
            None => torn.then_some((tail.at, tail.next_offset, None)),
        };
        let dropped = dropped.map(|(byte, first_offset, records)| TailDropped {
            segment,
            byte,
            first_offset,
            records,
        });
        TailVerdict::Sound { tail, dropped }
    }
}

const fn tail_of<S: Source>(walker: &Walker<S>, last_good: Option<Place>) -> Tail {
    Tail {
        at: walker.at(),
        next_offset: walker.next_offset(),
        previous: walker.previous(),
        last_good,
    }
}

/// True when the sector where the next batch goes is not blank: a batch whose header was torn.
fn residue<S: Source>(source: &mut S, at: u64) -> Result<bool, DiskError> {
    let sector = source.get(at, crate::limits::SECTOR_BYTES)?;
    Ok(sector.iter().any(|&byte| byte != 0))
}
