//! A server that crashes or hangs, under init's eyes and the watchdog's.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Needs, Scenario};
use crate::lab::{ANSWER_MAX, BOOT_MAX, LEASE_MAX, Lab, Start};
use crate::lan::Lan;
use crate::lan::dhcp::{DhcpServer, Offer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "linnetd_hangs",
        about: "it is started again, and as that is no help the watchdog resets the box",
        needs: Needs::PreparedCard,
        run: hangs,
    },
    Scenario {
        name: "linnetd_crashes_over_and_over",
        about: "the pauses grow, the box stays in the network and can be switched off",
        needs: Needs::PreparedCard,
        run: crashes,
    },
    Scenario {
        name: "memory_at_idle",
        about: "what all processes take together stays within 30 MB",
        needs: Needs::PreparedCard,
        run: memory,
    },
    Scenario {
        name: "tryboot_reaches_the_firmware",
        about: "QEMU's Pi 4B sees the property tag of the one-shot flag, set by our kernel's patch",
        needs: Needs::Release,
        run: tryboot,
    },
];

/// The budget for all processes at idle, in KiB: 30 MB.
const MEMORY_KIB_MAX: u64 = 30_000_000 / 1024;
/// SET_REBOOT_FLAGS of the firmware's property channel (raspberrypi/firmware wiki, "Mailbox
/// property interface", and include/soc/bcm2835/raspberrypi-firmware.h).
const TRYBOOT_TAG: &str = "00038064";

/// init gives the server five minutes, the watchdog half a minute more; on a busy host.
const RESET_MAX: Duration = Duration::from_secs(900);
/// QEMU's Pi 4B is slow, more so on its first start.
const PI_MAX: Duration = Duration::from_secs(900);
const CONNECT_MAX: Duration = Duration::from_secs(10);

fn hangs(lab: &Lab) -> Result<()> {
    let (card, _) = lab.owned_card("card.img")?;
    let mut station = Start::alone(&card).words("linnet.test=hang-linnetd").power_on()?;
    station.wait_for("linnetd is stopped at its start", BOOT_MAX)?;
    station.wait_for("it is ended and started again", RESET_MAX)?;
    station.wait_for("the watchdog will reset the box", RESET_MAX)?;
    station.wait_for("Linnet starts.", RESET_MAX)?;
    ensure!(station.pi.starts() == 2, "{} starts", station.pi.starts());
    Ok(())
}

fn crashes(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let mut server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (card, owner) = lab.owned_card("card.img")?;
    let start = Start::on(&lan, 1, &card)?;
    let mut station = start.clone().words("linnet.test=crash-linnetd").power_on()?;
    server.wait_for("DHCPACK", BOOT_MAX)?;
    for pause_ms in [250, 500, 1000, 2000, 4000, 8000] {
        station.wait_for(&format!("it is started again in {pause_ms} ms"), BOOT_MAX)?;
    }
    ensure!(station.has_said("the LED says \"failed\""), "the failure is not shown");
    let address = station.wait_for_address()?;
    let closed = TcpStream::connect_timeout(&SocketAddr::from((address, 443)), CONNECT_MAX);
    let kind = closed.err().map(|error| error.kind());
    ensure!(kind == Some(ErrorKind::ConnectionRefused), "the box left the network: {kind:?}");
    station.power_off()?;
    let (station, address) = start.boot()?;
    server.wait_for("DHCPACK", LEASE_MAX)?;
    owner.wait_for_answer(address, ANSWER_MAX)?;
    ensure!(owner.texts(address)? == ["the first message"], "the message is lost");
    station.power_off()
}

fn memory(lab: &Lab) -> Result<()> {
    let (card, _) = lab.owned_card("card.img")?;
    let mut station = Start::alone(&card).words("linnet.test=memory").power_on()?;
    let line = station.wait_for("KiB together", BOOT_MAX)?;
    let number = line.split("memory: ").nth(1).and_then(|rest| rest.split(' ').next());
    let kib: u64 = number.context("no number")?.parse().with_context(|| line.clone())?;
    ensure!(kib <= MEMORY_KIB_MAX, "{kib} KiB, more than {MEMORY_KIB_MAX}");
    ensure!(station.has_said("KiB linnetd"), "linnetd was not counted");
    station.power_off()
}

fn tryboot(lab: &Lab) -> Result<()> {
    let (card, _) = lab.new_card("card.img")?;
    let log = lab.path("unimplemented.log");
    let start = Start::on_pi(&card).words("linnet.test=tryboot").listing_unimplemented(&log);
    let mut station = start.power_on()?;
    station.wait_for("Restarting system with command '0 tryboot'", PI_MAX)?;
    let listed = std::fs::read_to_string(&log).context("QEMU listed nothing")?;
    let line = listed.lines().find(|line| line.contains(TRYBOOT_TAG));
    println!("QEMU: {}", line.unwrap_or("no such tag"));
    ensure!(line.is_some(), "the tag did not reach the firmware");
    Ok(())
}
