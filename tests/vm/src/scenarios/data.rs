//! The data partition: full, damaged, slow.

use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use wire::limits::TEXT_BYTES_MAX;
use wire::server::Reason;

use super::{Needs, Scenario};
use crate::lab::card::{data_place, debugfs, overwrite_data, put_data, take_data};
use crate::lab::{ANSWER_MAX, BOOT_MAX, Lab, Start};
use crate::lan::Lan;
use crate::lan::dhcp::{DhcpServer, Offer};
use crate::owner::{page, wait_for_stranger};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "data_full",
        about: "signing in, reading and taking away go on; a message is refused as card_full",
        needs: Needs::PreparedCard,
        run: full,
    },
    Scenario {
        name: "data_superblock_zeroed",
        about: "it is written anew from its spare, and nothing is lost",
        needs: Needs::PreparedCard,
        run: superblock,
    },
    Scenario {
        name: "data_inode_table_is_garbage",
        about: "beyond repair: the rescue page says so, and nothing is made anew",
        needs: Needs::PreparedCard,
        run: inode_table,
    },
    Scenario {
        name: "data_journal_is_garbage",
        about: "repaired, or the rescue page; never made anew",
        needs: Needs::PreparedCard,
        run: journal,
    },
];

/// The superblock is the second KiB of the file system.
const SUPERBLOCK: (u64, usize) = (1024, 1024);
/// In the superblock (kernel documentation, filesystems/ext4/super).
const UUID_OFFSET: u64 = 1024 + 0x68;
const BLOCK_BYTES: usize = 4096;
/// What is left free of DATA, in blocks of 4 KiB: less than one more segment of the log.
const LEFT_BLOCKS: u64 = 1024;
/// More of the longest messages than the segments hold that are on the card already.
const MESSAGES_MAX: usize = 40 * (1 << 20) / TEXT_BYTES_MAX;

fn full(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (card, owner) = lab.owned_card("card.img")?;
    fill(&card, lab)?;
    let (station, address) = Start::on(&lan, 1, &card)?.boot()?;
    owner.wait_for_answer(address, ANSWER_MAX)?;
    let long = "x".repeat(TEXT_BYTES_MAX);
    let (kept, reason) = owner.say_until_refused(address, &long, MESSAGES_MAX)?;
    println!("{kept} messages were kept before the card was full");
    ensure!(reason == Reason::CardFull, "{reason:?}");
    let another = owner.sign_in(address)?;
    ensure!(owner.texts(address)?.contains(&long), "reading");
    owner.delete(address, &format!("/api/devices/{}", another.device.0))?;
    station.power_off()
}

/// Takes nearly all of DATA's free blocks with one file.
fn fill(card: &Path, lab: &Lab) -> Result<()> {
    let data = lab.path("data.img");
    take_data(card, &data)?;
    let statistics = debugfs(&data, "show_super_stats -h\n")?;
    let free = number_after(&statistics, "Free blocks:").context("no count of free blocks")?;
    let blocks = free.saturating_sub(LEFT_BLOCKS);
    std::fs::File::create(lab.path("nothing"))?;
    let source = lab.path("nothing").display().to_string();
    debugfs(&data, &format!("write {source} fill\nfallocate fill 0 {}\n", blocks - 1))?;
    put_data(card, &data)
}

fn number_after(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(label))?;
    line[label.len()..].trim().parse().ok()
}

fn superblock(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (card, owner) = lab.owned_card("card.img")?;
    overwrite_data(&card, SUPERBLOCK.0, &[0; SUPERBLOCK.1])?;
    let (station, address) = Start::on(&lan, 1, &card)?.boot()?;
    owner.wait_for_answer(address, ANSWER_MAX)?;
    ensure!(owner.texts(address)? == ["the first message"], "the message is lost");
    owner.say(address, "after the repair")?;
    station.power_off()
}

fn inode_table(lab: &Lab) -> Result<()> {
    let place = |data: &Path| {
        let words = debugfs(data, "imap <2>\n")?;
        let block = words.split("located at block ").nth(1).and_then(|rest| rest.split(',').next());
        let block = block.and_then(|text| text.trim().parse().ok());
        block.with_context(|| format!("no place of the first inodes: {words}"))
    };
    match damaged(lab, place, 16)? {
        Outcome::Rescue(reason) => {
            ensure!(reason.contains("damaged beyond automatic repair"), "{reason}");
            Ok(())
        }
        Outcome::Repaired => bail!("e2fsck repaired what it has no copy of"),
    }
}

fn journal(lab: &Lab) -> Result<()> {
    let place = |data: &Path| {
        let words =
            debugfs(data, "set_super_value feature_incompat +needs_recovery\nblocks <8>\n")?;
        // The list of the inode's blocks, after the echo of the request.
        let block =
            words.lines().rev().find_map(|line| line.split_whitespace().next()?.parse().ok());
        block.with_context(|| format!("no place of the journal: {words}"))
    };
    let outcome = damaged(lab, place, 64)?;
    println!("a journal of garbage: {outcome:?}");
    Ok(())
}

/// How a box deals with damage.
#[derive(Debug)]
enum Outcome {
    Repaired,
    Rescue(String),
}

/// Boots a card on which `blocks` blocks from the found place on hold garbage. The file system must
/// be the same one afterwards: either the owner's messages are there, or the rescue page is.
fn damaged(lab: &Lab, place: impl Fn(&Path) -> Result<u64>, blocks: usize) -> Result<Outcome> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (card, owner) = lab.owned_card("card.img")?;
    let data = lab.path("data.img");
    take_data(&card, &data)?;
    let block = place(&data)?;
    put_data(&card, &data)?;
    let garbage: Vec<u8> = (0..blocks * BLOCK_BYTES).map(|at| (at * 7 + at / 251) as u8).collect();
    overwrite_data(&card, block * BLOCK_BYTES as u64, &garbage)?;
    let before = identity(&card)?;
    let mut station = Start::on(&lan, 1, &card)?.power_on()?;
    let address = station.wait_for_new_address()?;
    let facts = wait_for_stranger(address, BOOT_MAX)?;
    page(address)?;
    let outcome = match facts["rescue"].as_str() {
        Some(reason) => Outcome::Rescue(reason.to_owned()),
        None => {
            owner.wait_for_answer(address, ANSWER_MAX)?;
            ensure!(owner.texts(address)? == ["the first message"], "the message is lost");
            Outcome::Repaired
        }
    };
    station.power_off()?;
    ensure!(identity(&card)? == before, "DATA was made anew");
    Ok(outcome)
}

/// The file system's own number (UUID), which mkfs draws anew.
fn identity(card: &Path) -> Result<[u8; 16]> {
    let file = std::fs::File::open(card)?;
    let mut uuid = [0; 16];
    file.read_exact_at(&mut uuid, data_place(card)?.start + UUID_OFFSET)?;
    Ok(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_blocks_are_read_from_debugfs() {
        let text = "Block count:              1000\nFree blocks:              512\n";
        assert_eq!(number_after(text, "Free blocks:"), Some(512));
        assert_eq!(number_after("", "Free blocks:"), None);
    }
}
