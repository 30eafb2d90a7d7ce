//! The data partition: full, damaged, slow.

use anyhow::{Context, Result, ensure};
use wire::limits::TEXT_BYTES_MAX;
use wire::server::Reason;

use super::{Needs, Scenario};
use crate::lab::card::{copy_sparse, debugfs, overwrite_data, put_data, take_data};
use crate::lab::{ANSWER_MAX, Lab, Start};
use crate::lan::Lan;
use crate::lan::dhcp::{DhcpServer, Offer};

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
];

/// The superblock is the second KiB of the file system.
const SUPERBLOCK: (u64, usize) = (1024, 1024);
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
fn fill(card: &std::path::Path, lab: &Lab) -> Result<()> {
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
    copy_sparse(&card, &lab.path("before.img"))?;
    let (station, address) = Start::on(&lan, 1, &card)?.boot()?;
    owner.wait_for_answer(address, ANSWER_MAX)?;
    ensure!(owner.texts(address)? == ["the first message"], "the message is lost");
    owner.say(address, "after the repair")?;
    station.power_off()
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
