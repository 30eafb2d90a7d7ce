//! The power goes during the first boot: while the partition table grows, while DATA is made, while
//! that is marked. Every write of one first boot is logged; each sector of it is a place where it
//! may end. The host decides about all of them; one of each kind is booted.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use image::layout::{Extent, MIB};
use image::{Layout, Manifest, mbr};

use super::{Needs, Scenario};
use crate::lab::card::{CARD_MIB, DATA, copy_sparse, data_place, repair, slot_area};
use crate::lab::{BOOT_MAX, Lab, RUNNING, Start};
use crate::machine::Between;
use crate::writelog::{Cut, Entry, Kind, WriteLog};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "power_cut_in_the_first_boot",
    about: "at each sector: tables whole, and DATA either not made yet or sound",
    needs: Needs::Image,
    run: cuts,
}];

/// Samples of what was not flushed yet, for each flush up to the mark.
const SEEDS: u64 = 2;
/// Flushes after the mark that are looked at, spread over the rest of the boot.
const LATER: usize = 12;
const SUPERBLOCK_MAGIC: (u64, [u8; 2]) = (1024 + 0x38, [0x53, 0xef]);

/// What distinguishes one state of the card from another for the next boot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    /// The partition table and its links.
    tables: Vec<u8>,
    made: bool,
    has_file_system: bool,
}

/// After so many whole entries and so many sectors of the next one.
#[derive(Debug, Clone, Copy)]
struct Place {
    entries: usize,
    sectors: usize,
}

struct Logged {
    /// The card before its first boot.
    base: PathBuf,
    log: WriteLog,
    layout: Layout,
    /// DATA as it is once it has grown.
    data: Extent,
    folder: PathBuf,
}

fn cuts(lab: &Lab) -> Result<()> {
    let logged = first_boot(lab)?;
    let (boundaries, classes) = logged.walk()?;
    println!("{boundaries} sector boundaries, {} kinds of cards", classes.len());
    let sampled = logged.sample()?;
    println!("{sampled} cuts with reordered and torn writes");
    ensure!(classes.len() >= 4, "the boot had fewer steps than the test is made for");
    for (class, place) in &classes {
        logged.boot(class, *place)?;
    }
    println!("{} cards booted", classes.len());
    Ok(())
}

/// One whole first boot with its log.
fn first_boot(lab: &Lab) -> Result<Logged> {
    let (card, _) = lab.new_card("card.img")?;
    let (base, log) = (lab.path("base.img"), lab.path("write.log"));
    copy_sparse(&card, &base)?;
    std::fs::write(&log, "")?;
    let mut station = Start::alone(&card).between(Between::WriteLog(log.clone())).power_on()?;
    station.wait_for(RUNNING, BOOT_MAX)?;
    station.pi.kill()?;
    let data = data_place(&card)?;
    std::fs::remove_file(&card)?;
    let layout = Layout::compute(&Manifest::load()?, CARD_MIB * MIB)?;
    Ok(Logged { base, log: WriteLog::open(&log)?, layout, data, folder: lab.folder.clone() })
}

impl Logged {
    /// Goes through all writes in the order in which the card did them.
    fn walk(&self) -> Result<(u64, BTreeMap<Class, Place>)> {
        let path = self.folder.join("walk.img");
        copy_sparse(&self.base, &path)?;
        let card = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut classes = BTreeMap::from([(self.class(&card)?, Place { entries: 0, sectors: 0 })]);
        let mut boundaries = 0;
        for (entries, entry) in self.log.entries.iter().enumerate() {
            boundaries += entry.bytes / self.log.sector_bytes();
            for sectors in self.write_in_steps(&card, entry)? {
                let class = self.class(&card)?;
                classes.entry(class).or_insert(Place { entries, sectors });
            }
        }
        drop(card);
        std::fs::remove_file(path)?;
        Ok((boundaries, classes))
    }

    /// Sector by sector where tables, slot records or superblocks lie; the rest of DATA has no say
    /// in what the next boot does.
    fn write_in_steps(&self, card: &File, entry: &Entry) -> Result<Vec<usize>> {
        let data = self.log.data(entry)?;
        let sector = usize::try_from(self.log.sector_bytes())?;
        let matters = entry.offset < self.data.start + 2 * MIB;
        if !matters || entry.kind == Kind::Nothing {
            card.write_all_at(&data, entry.offset)?;
            return Ok(Vec::new());
        }
        let mut steps = Vec::new();
        for (index, bytes) in data.chunks(sector).enumerate() {
            card.write_all_at(bytes, entry.offset + (index * sector) as u64)?;
            if entry.offset < self.data.start || index < 8 {
                self.class(card)?; // the tables are whole at every sector
                steps.push(index + 1);
            }
        }
        Ok(steps)
    }

    fn class(&self, card: &File) -> Result<Class> {
        let (tables, made) = self.head(card)?;
        let mut magic = [0; 2];
        card.read_exact_at(&mut magic, self.data.start + SUPERBLOCK_MAGIC.0)?;
        let has_file_system = magic == SUPERBLOCK_MAGIC.1;
        ensure!(has_file_system || !made, "marked as made, but there is no file system");
        Ok(Class { tables, made, has_file_system })
    }

    /// Tables, and whether DATA is marked as made; an error where the next boot would find no table
    /// or no slot record.
    fn head(&self, card: &File) -> Result<(Vec<u8>, bool)> {
        let table = mbr::decode(|offset| {
            let mut sector = [0; mbr::SECTOR];
            card.read_exact_at(&mut sector, offset)?;
            Ok(sector)
        })?;
        let data = table.iter().find(|part| part.number == DATA).context("DATA is not there")?;
        ensure!(data.extent.start == self.data.start, "DATA moved to {}", data.extent.start);
        let end = data.extent.end();
        ensure!(end <= self.data.end(), "DATA ends beyond the card: {end}");
        let mut tables = Vec::new();
        for offset in std::iter::once(0).chain(self.layout.ebr) {
            let mut sector = [0; mbr::SECTOR];
            card.read_exact_at(&mut sector, offset)?;
            tables.extend(sector);
        }
        let area = slot_area(card)?.context("no slot record can be read")?;
        Ok((tables, !area.data.is_to_be_made()))
    }

    /// Cuts in which what was not flushed is lost, torn or reordered: up to the mark at every
    /// flush, and some later ones.
    fn sample(&self) -> Result<usize> {
        let path = self.folder.join("sample.img");
        copy_sparse(&self.base, &path)?;
        let card = OpenOptions::new().read(true).write(true).open(&path)?;
        let (all, mut count) = (self.log.flushes(), 0);
        let mut marked_at: Option<usize> = None;
        for flush in 0..=all {
            let due = marked_at.is_none_or(|at| {
                flush <= at + 4 || (flush - at).is_multiple_of(((all - at) / LATER).max(1))
            });
            for seed in (0..SEEDS).filter(|_| due) {
                let cut = Cut { flush, seed };
                let made = self.judge(&card, cut).with_context(|| format!("{cut:?}"))?;
                marked_at = marked_at.or(made.then_some(flush));
                count += 1;
            }
        }
        std::fs::remove_file(path)?;
        ensure!(marked_at.is_some(), "the mark was never written");
        Ok(count)
    }

    /// Whether DATA is marked as made after the cut; if so it must be sound. `card` is a copy that
    /// earlier cuts have used: only what lies before DATA is played onto it.
    fn judge(&self, card: &File, cut: Cut) -> Result<bool> {
        let before_data = Extent { start: 0, bytes: self.data.start };
        let base = File::open(&self.base)?;
        for entry in self.log.entries.iter().filter(|it| it.offset < self.data.start) {
            let mut bytes = vec![0; usize::try_from(entry.bytes)?];
            base.read_exact_at(&mut bytes, entry.offset)?;
            card.write_all_at(&bytes, entry.offset)?;
        }
        self.log.replay_part(card, before_data, cut)?;
        let (_, made) = self.head(card)?;
        if made && !self.is_sound(cut)? {
            bail!("marked as made, but beyond repair");
        }
        Ok(made)
    }

    /// A new card's DATA holds nothing but what the log has written to it.
    fn is_sound(&self, cut: Cut) -> Result<bool> {
        let path = self.folder.join("sound.img");
        let data = File::create(&path)?;
        data.set_len(self.data.bytes)?;
        self.log.replay_part(&data, self.data, cut)?;
        let sound = repair(&path)?;
        std::fs::remove_file(path)?;
        Ok(sound)
    }

    /// The card as the cut left it, in the machine again.
    fn boot(&self, class: &Class, place: Place) -> Result<()> {
        println!("made: {}, file system: {}", class.made, class.has_file_system);
        let path = self.card_at(place)?;
        let mut station = Start::alone(&path).power_on()?;
        station.wait_for(RUNNING, BOOT_MAX)?;
        let made_anew = station.has_said("the data partition is being made");
        ensure!(made_anew != class.made, "made anew: {made_anew}, marked: {}", class.made);
        station.power_off()?;
        ensure!(data_place(&path)? == self.data, "DATA did not grow to its end");
        Ok(std::fs::remove_file(path)?)
    }

    fn card_at(&self, place: Place) -> Result<PathBuf> {
        let path = self.folder.join("cut.img");
        copy_sparse(&self.base, &path)?;
        let card = OpenOptions::new().write(true).open(&path)?;
        for entry in &self.log.entries[..place.entries] {
            card.write_all_at(&self.log.data(entry)?, entry.offset)?;
        }
        if place.sectors > 0 {
            let entry = &self.log.entries[place.entries];
            let bytes = place.sectors * usize::try_from(self.log.sector_bytes())?;
            card.write_all_at(&self.log.data(entry)?[..bytes], entry.offset)?;
        }
        Ok(path)
    }
}
