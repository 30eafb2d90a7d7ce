//! The two emulated machines and QEMU's arguments for them.

use std::path::{Path, PathBuf};

use crate::ports::Forward;
use crate::qmp::End;

/// The board's memory that Linnet's budget is made for.
const MEMORY_MIB: &str = "1024";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Generic ARM board with virtio devices and a watchdog.
    Virt,
    /// The Pi 4B: PL011 console, SD controller, GPIO block, USB network.
    Raspi4b,
}

/// Files and ports of one start.
#[derive(Debug, Clone)]
pub struct Wiring {
    pub kernel: PathBuf,
    pub initramfs: Option<PathBuf>,
    pub device_tree: PathBuf,
    pub cmdline: String,
    pub card: PathBuf,
    /// Where QEMU records every write to the card; only on `virt`.
    pub write_log: Option<PathBuf>,
    pub monitor: PathBuf,
    pub forwards: Vec<Forward>,
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
        arguments.extend(self.network(&wiring.forwards));
        arguments
    }

    fn card(self, wiring: &Wiring) -> Vec<String> {
        let card = comma_safe(&wiring.card);
        match self {
            Self::Raspi4b => words(&["-drive", &format!("if=sd,format=raw,file={card}")]),
            Self::Virt => {
                let file =
                    format!("driver=raw,node-name=card,file.driver=file,file.filename={card}");
                let mut arguments = match &wiring.write_log {
                    None => words(&["-blockdev", &file]),
                    Some(log) => {
                        let log = comma_safe(log);
                        let logged = format!(
                            "driver=blklogwrites,node-name=card,file.driver=file,\
                             file.filename={card},log.driver=file,log.filename={log}"
                        );
                        words(&["-blockdev", &logged])
                    }
                };
                arguments.extend(words(&["-device", "virtio-blk-pci,drive=card"]));
                arguments.extend(words(&["-device", "i6300esb", "-device", "virtio-rng-pci"]));
                arguments
            }
        }
    }

    fn network(self, forwards: &[Forward]) -> Vec<String> {
        let mut user = "user,id=lan".to_owned();
        for forward in forwards {
            for transport in ["tcp", "udp"] {
                let Forward { host, guest } = forward;
                user += &format!(",hostfwd={transport}:127.0.0.1:{host}-:{guest}");
            }
        }
        let device = match self {
            // Without its boot ROM, which is a package of its own and of no use here.
            Self::Virt => "virtio-net-pci,netdev=lan,romfile=",
            Self::Raspi4b => "usb-net,netdev=lan",
        };
        words(&["-netdev", &user, "-device", device])
    }
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

    fn wiring(write_log: Option<PathBuf>) -> Wiring {
        Wiring {
            kernel: "k".into(),
            initramfs: None,
            device_tree: "d".into(),
            cmdline: "quiet".into(),
            card: "/a,b/card.img".into(),
            write_log,
            monitor: "m".into(),
            forwards: vec![Forward { host: 8443, guest: 443 }],
        }
    }

    #[test]
    fn ports_are_forwarded_on_loopback_only() {
        let line = Machine::Virt.arguments(&wiring(None)).join(" ");
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
        let line = Machine::Raspi4b.arguments(&wiring(None)).join(" ");
        assert!(line.contains("file=/a,,b/card.img"), "{line}");
    }

    #[test]
    fn the_write_log_sits_between_the_card_and_its_file() {
        let line = Machine::Virt.arguments(&wiring(Some("log".into()))).join(" ");
        assert!(line.contains("driver=blklogwrites,node-name=card"), "{line}");
        assert!(line.contains("log.filename=log"), "{line}");
    }
}
