//! A check of DATA that takes longer than the watchdog waits.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Needs, Scenario};
use crate::lab::card::{debugfs, put_data, take_data};
use crate::lab::{BOOT_MAX, Lab, RUNNING, Start};
use crate::machine::Between;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "check_of_data_outlasts_the_watchdog",
    about: "a full check on a card that reads slowly: no reset, as it makes progress",
    needs: Needs::PreparedCard,
    run: outlasts,
}];

/// Each has an inode of 256 bytes that the check reads.
const FILES: usize = 24_000;
/// Inode tables of 6 MiB, bitmaps and the programs themselves take over half a minute with it.
const READ_BYTES_PER_SECOND: u64 = 150 << 10;
/// The emulated watchdog (i6300esb) resets after so long without being fed.
const WATCHDOG: Duration = Duration::from_secs(30);
const CHECK_MAX: Duration = Duration::from_secs(600);

fn outlasts(lab: &Lab) -> Result<()> {
    let (card, _) = lab.owned_card("card.img")?;
    let data = lab.path("data.img");
    take_data(&card, &data)?;
    debugfs(&data, &requests())?;
    put_data(&card, &data)?;
    let mut station = Start::alone(&card).between(Between::Brake).power_on()?;
    station.wait_for("Linnet starts.", BOOT_MAX)?;
    station.pi.monitor().throttle(READ_BYTES_PER_SECOND)?;
    let started = Instant::now();
    // e2fsck's last line: `linnet-data: 24039/39680 files (0.1% non-contiguous), ...`
    station.wait_for(" files (", CHECK_MAX)?;
    let took = started.elapsed();
    station.pi.monitor().throttle(0)?;
    println!("the check took {:.1} s", took.as_secs_f32());
    ensure!(took > WATCHDOG, "it took only {:.1} s", took.as_secs_f32());
    station.wait_for(RUNNING, BOOT_MAX)?;
    ensure!(station.pi.starts() == 1, "the watchdog reset the box");
    ensure!(!station.has_said("No hardware watchdog"), "there was no watchdog");
    station.power_off()
}

/// Many small files, and the mark of a file system with errors, which asks for a full check.
fn requests() -> String {
    let mut text = "mkdir many\ncd many\n".to_owned();
    for number in 0..FILES {
        writeln!(text, "symlink {number} x").expect("a string takes everything");
    }
    text + "set_super_value state 2\n"
}
