//! Which parts of the logged writes a power cut leaves on the card (pure): one number decides all.

use image::layout::Extent;

use super::{Entry, Kind};

/// A cut after the n-th flush; `seed` decides about what was not flushed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub flush: usize,
    pub seed: u64,
}

/// One logged request and the parts of its data that reached the card, relative to its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub entry: usize,
    pub pieces: Vec<Extent>,
}

/// What is applied, in this order. Everything before the flush is whole. After it, up to a sampled
/// moment, each request is kept, torn at a sector or lost on its own; what was written with "force
/// unit access" before that moment is whole; nothing after it is there.
pub fn plan(entries: &[Entry], cut: Cut, sector_bytes: u64) -> Vec<Step> {
    let mut random = Random(cut.seed);
    let durable = end_of_flush(entries, cut.flush);
    let window = end_of_flush(entries, cut.flush + 1) - durable;
    let moment = durable + random.below(window as u64 + 1) as usize;
    let mut steps: Vec<Step> = (0..durable).filter_map(|entry| whole(entries, entry)).collect();
    let mut open: Vec<Step> = (durable..moment)
        .filter_map(|index| match entries[index].force_unit_access {
            true => whole(entries, index),
            false => sampled(entries, index, sector_bytes, &mut random),
        })
        .collect();
    random.shuffle(&mut open);
    steps.extend(open);
    steps
}

/// Index after the n-th flush; 0 for none, the end of the log past the last one.
fn end_of_flush(entries: &[Entry], flush: usize) -> usize {
    if flush == 0 {
        return 0;
    }
    let mut flushes = entries.iter().enumerate().filter(|(_, entry)| entry.flush);
    flushes.nth(flush - 1).map_or(entries.len(), |(index, _)| index + 1)
}

fn whole(entries: &[Entry], entry: usize) -> Option<Step> {
    let bytes = entries[entry].bytes;
    let pieces = vec![Extent { start: 0, bytes }];
    (entries[entry].kind != Kind::Nothing).then_some(Step { entry, pieces })
}

fn sampled(
    entries: &[Entry],
    entry: usize,
    sector_bytes: u64,
    random: &mut Random,
) -> Option<Step> {
    let step = whole(entries, entry)?;
    match random.below(3) {
        0 => None,
        1 => Some(step),
        _ => Some(Step { pieces: torn(entries[entry].bytes, sector_bytes, random), ..step }),
    }
}

/// A run of sectors out of the middle: a card neither promises a prefix nor a suffix.
fn torn(bytes: u64, sector_bytes: u64, random: &mut Random) -> Vec<Extent> {
    let sectors = bytes / sector_bytes;
    let first = random.below(sectors);
    let count = random.below(sectors - first + 1);
    vec![Extent { start: first * sector_bytes, bytes: count * sector_bytes }]
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to pick samples.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform enough for small bounds; `bound` is at least 1.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}
