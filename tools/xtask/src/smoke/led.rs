//! The Pi 4B's smoke test: the product reports that it works, with the nonce of this very boot, and
//! the LED's edges are seen in the GPIO block through QEMU's monitor, not in the guest's words.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};
use vm::gpio::{Edges, level};
use vm::pi::Polled;
use vm::{Machine, Pi};

use super::RUNNING;

/// Software emulation of the Pi's SD card and USB is slow, more so on the first start.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Shorter than the shortest phase of any LED code.
const SAMPLE: Duration = Duration::from_millis(20);
const EDGES_MIN: u32 = 4;
/// The ACT LED of the Pi 4B.
const PIN: u32 = 42;

pub(crate) fn run(card: &Path) -> Result<()> {
    let nonce = nonce(card);
    let mut pi = Pi::power_on(vm::Options {
        cmdline: format!("linnet.health_nonce={nonce}"),
        ..vm::Options::new(Machine::Raspi4b, card)
    })?;
    let deadline = Instant::now() + WAIT_MAX;
    let (mut edges, mut running, mut nonce_ok) = (Edges::default(), false, false);
    while !(running && edges.count() >= EDGES_MIN) && Instant::now() < deadline {
        edges.sample(level(pi.monitor(), PIN)?);
        match pi.poll_line(Instant::now() + SAMPLE)? {
            Polled::Line(line) => {
                eprintln!("  {}", line.text);
                if let Some(words) = line.text.split(RUNNING).nth(1) {
                    running = true;
                    let wanted = format!("health_nonce={nonce}");
                    nonce_ok = words.split_whitespace().any(|word| word == wanted);
                }
            }
            Polled::Silent => {}
            Polled::Off => bail!("the emulated Pi switched itself off"),
        }
    }
    pi.kill()?;
    let edges = edges.count();
    println!(
        "{}",
        serde_json::json!({
            "machine": "raspi4b",
            "running": running,
            "led_edges": edges,
            "health_nonce_ok": nonce_ok,
        })
    );
    if !(running && nonce_ok && edges >= EDGES_MIN) {
        bail!("the emulated Pi 4B did not report itself as working with its LED alive");
    }
    Ok(())
}

/// A word that no earlier boot has printed.
fn nonce(card: &Path) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let text = format!("{} {:?} {}", card.display(), now, std::process::id());
    update::hex::encode(&Sha256::digest(text)[..8])
}
