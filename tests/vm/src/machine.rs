//! The two emulated machines and QEMU's arguments for them.

use std::path::{Path, PathBuf};

use crate::ports::Forward;
use crate::qmp::End;

/// The board's memory that Linnet's budget is made for.
const MEMORY_MIB: &str = "1024";
/// The box's network in QEMU's words.
pub(crate) const CABLE: &str = "lan";
/// The card's brake in QEMU's words.
pub(crate) const BRAKE: &str = "brake";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Generic ARM board with virtio devices and a watchdog.
    Virt,
    /// The Pi 4B: PL011 console, SD controller, GPIO block, USB network.
    Raspi4b,
}

/// Files of one start, and what the board hangs on.
#[derive(Debug, Clone)]
pub struct Wiring {
    pub kernel: PathBuf,
    pub initramfs: Option<PathBuf>,
    pub device_tree: PathBuf,
    pub cmdline: String,
    pub card: PathBuf,
    /// What QEMU puts between the card and its file; only on `virt`.
    pub between: Between,
    pub monitor: PathBuf,
    pub network: Network,
    pub clock: Clock,
    /// Where QEMU lists what its models lack, property tags of the firmware among it.
    pub unimplemented_log: Option<PathBuf>,
}

/// What the cable of the box leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// QEMU's own network: addresses are given by QEMU, ports of the box appear on loopback.
    Loopback(Vec<Forward>),
    /// A network interface of the host (a tap) that exists already.
    Tap(Tap),
}

/// One end of a cable on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    pub name: String,
    /// The hardware address that the box has on it.
    pub hardware: [u8; 6],
}

/// What the battery-backed clock of the board says; the Pi has none, `virt` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The host's time.
    Host,
    /// The first of January 1970, as a board without such a clock begins.
    Unset,
}

/// What lies between the emulated card and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Between {
    Nothing,
    /// Every write is recorded here.
    WriteLog(PathBuf),
    /// A brake that [`crate::qmp::Qmp::throttle`] sets while the box runs.
    Brake,
}

impl Machine {
    pub fn name(self) -> &'static str {
        match self {
            Self::Virt => "virt",
            Self::Raspi4b => "raspi4b",
        }
    }

    /// What QEMU's model needs beyond the card's own command line.
    pub fn cmdline(self) -> &'static str {
        match self {
            Self::Virt => "",
            // QEMU has no clock manager: without this the kernel stops clocks that devices need.
            // Its power manager resets the board at once when the watchdog is armed.
            Self::Raspi4b => "clk_ignore_unused linnet.watchdog=off",
        }
    }

    /// The end that a console line announces on a machine where nothing follows. QEMU's model of
    /// the Pi's power block takes the start of the watchdog for a reset, so the emulator's kernel
    /// has no driver for it there and stops at this line.
    pub(crate) fn end_said_by(self, line: &str) -> Option<End> {
        match self {
            Self::Virt => None,
            Self::Raspi4b if line.contains("reboot: Restarting system") => Some(End::Reset),
            Self::Raspi4b if line.contains("Rebooting in ") => Some(End::Reset),
            Self::Raspi4b if line.contains("reboot: Power down") => Some(End::Off),
            Self::Raspi4b => None,
        }
    }

    /// The board itself; also what a dump of the machine's device tree is made with.
    pub fn board(self) -> Vec<String> {
        match self {
            // Four cores as on the Pi; the emulator maps each to a thread of the host.
            Self::Virt => {
                words(&["-M", "virt", "-cpu", "cortex-a72", "-smp", "4", "-m", MEMORY_MIB])
            }
            Self::Raspi4b => words(&["-M", "raspi4b"]),
        }
    }

    /// All arguments of one start. A guest's reset ends QEMU: the stand-in decides anew.
    pub fn arguments(self, wiring: &Wiring) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let mut arguments = self.board();
        arguments.extend(words(&["-nodefaults", "-display", "none", "-serial", "stdio"]));
        arguments.extend(words(&["-action", "reboot=shutdown,watchdog=reset"]));
        arguments.extend(["-kernel".to_owned(), path(&wiring.kernel)]);
        if let Some(initramfs) = &wiring.initramfs {
            arguments.extend(["-initrd".to_owned(), path(initramfs)]);
        }
        arguments.extend(["-dtb".to_owned(), path(&wiring.device_tree)]);
        arguments.extend(["-append".to_owned(), wiring.cmdline.clone()]);
        arguments.extend([
            "-qmp".to_owned(),
            format!("unix:{},server=on,wait=off", path(&wiring.monitor)),
        ]);
        arguments.extend(self.card(wiring));
        arguments.extend(self.network(&wiring.network));
        if let Some(log) = &wiring.unimplemented_log {
            arguments.extend(words(&["-d", "unimp", "-D"]));
            arguments.push(path(log));
        }
        arguments
    }

    fn card(self, wiring: &Wiring) -> Vec<String> {
        let card = comma_safe(&wiring.card);
        if self == Self::Raspi4b {
            return words(&["-drive", &format!("if=sd,format=raw,file={card}")]);
        }
        let mut arguments = between(&card, &wiring.between);
        arguments.extend(words(&["-device", "virtio-blk-pci,drive=card"]));
        arguments.extend(words(&["-device", "i6300esb", "-device", "virtio-rng-pci"]));
        if wiring.clock == Clock::Unset {
            arguments.extend(words(&["-rtc", "base=1970-01-01T00:00:00"]));
        }
        arguments
    }

    fn network(self, network: &Network) -> Vec<String> {
        let (lan, hardware) = match network {
            Network::Loopback(forwards) => (loopback(forwards), String::new()),
            Network::Tap(tap) => {
                let lan = format!("tap,id={CABLE},ifname={},script=no,downscript=no", tap.name);
                (lan, format!(",mac={}", colons(&tap.hardware)))
            }
        };
        let device = match self {
            // Without its boot ROM, which is a package of its own and of no use here.
            Self::Virt => format!("virtio-net-pci,netdev={CABLE},romfile={hardware}"),
            Self::Raspi4b => format!("usb-net,netdev={CABLE}{hardware}"),
        };
        words(&["-netdev", &lan, "-device", &device])
    }
}

fn loopback(forwards: &[Forward]) -> String {
    let mut user = format!("user,id={CABLE}");
    for forward in forwards {
        for transport in ["tcp", "udp"] {
            let Forward { host, guest } = forward;
            user += &format!(",hostfwd={transport}:127.0.0.1:{host}-:{guest}");
        }
    }
    user
}

/// The card's file under the node name that the disk is made of.
fn between(card: &str, between: &Between) -> Vec<String> {
    match between {
        Between::Nothing => {
            let file = format!("driver=raw,node-name=card,file.driver=file,file.filename={card}");
            words(&["-blockdev", &file])
        }
        Between::WriteLog(log) => {
            let log = comma_safe(log);
            let logged = format!(
                "driver=blklogwrites,node-name=card,file.driver=file,\
                 file.filename={card},log.driver=file,log.filename={log}"
            );
            words(&["-blockdev", &logged])
        }
        Between::Brake => {
            let braked = format!(
                "driver=throttle,node-name=card,throttle-group={BRAKE},file.driver=raw,\
                 file.file.driver=file,file.file.filename={card}"
            );
            let group = format!("throttle-group,id={BRAKE}");
            words(&["-object", &group, "-blockdev", &braked])
        }
    }
}

/// `52:54:00:00:00:01`
pub(crate) fn colons(hardware: &[u8; 6]) -> String {
    let pairs: Vec<String> = hardware.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// QEMU's option syntax wants commas in values doubled.
fn comma_safe(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiring(between: Between, network: Network) -> Wiring {
        Wiring {
            kernel: "k".into(),
            initramfs: None,
            device_tree: "d".into(),
            cmdline: "quiet".into(),
            card: "/a,b/card.img".into(),
            between,
            monitor: "m".into(),
            network,
            clock: Clock::Host,
            unimplemented_log: None,
        }
    }

    fn plain() -> Wiring {
        let forwards = vec![Forward { host: 8443, guest: 443 }];
        wiring(Between::Nothing, Network::Loopback(forwards))
    }

    #[test]
    fn ports_are_forwarded_on_loopback_only() {
        let line = Machine::Virt.arguments(&plain()).join(" ");
        for transport in ["tcp", "udp"] {
            let wanted = format!("hostfwd={transport}:127.0.0.1:8443-:443");
            assert!(line.contains(&wanted), "{line}");
        }
    }

    #[test]
    fn only_the_pis_model_is_believed_by_its_words() {
        let line = "[    9.1] reboot: Restarting system with command '0 tryboot'";
        assert_eq!(Machine::Raspi4b.end_said_by(line), Some(End::Reset));
        assert_eq!(Machine::Raspi4b.end_said_by("[ 9.1] reboot: Power down"), Some(End::Off));
        assert_eq!(Machine::Virt.end_said_by(line), None);
    }

    #[test]
    fn commas_in_paths_do_not_end_an_option() {
        let line = Machine::Raspi4b.arguments(&plain()).join(" ");
        assert!(line.contains("file=/a,,b/card.img"), "{line}");
    }

    #[test]
    fn the_write_log_sits_between_the_card_and_its_file() {
        let wiring = Wiring { between: Between::WriteLog("log".into()), ..plain() };
        let line = Machine::Virt.arguments(&wiring).join(" ");
        assert!(line.contains("driver=blklogwrites,node-name=card"), "{line}");
        assert!(line.contains("log.filename=log"), "{line}");
    }

    #[test]
    fn brake_sits_between_the_card_and_its_file() {
        let line = Machine::Virt.arguments(&Wiring { between: Between::Brake, ..plain() });
        let line = line.join(" ");
        assert!(line.contains("-object throttle-group,id=brake"), "{line}");
        assert!(line.contains("throttle-group=brake,file.driver=raw"), "{line}");
    }

    #[test]
    fn box_on_a_tap_has_its_own_hardware_address_and_no_way_to_the_host() {
        let tap = Tap { name: "tap1".into(), hardware: [0x52, 0x54, 0, 0, 0, 1] };
        let line = Machine::Virt.arguments(&wiring(Between::Nothing, Network::Tap(tap)));
        let line = line.join(" ");
        assert!(line.contains("tap,id=lan,ifname=tap1,"), "{line}");
        assert!(line.contains(",mac=52:54:00:00:00:01") && !line.contains("user,"), "{line}");
    }
}
