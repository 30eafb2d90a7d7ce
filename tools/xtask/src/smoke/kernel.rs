//! One boot with another kernel, Debian 12's 6.1: linnetd sets its rings up without what later
//! kernels offer, and messages go to and fro in both rooms. The last line on stdout is JSON.

use anyhow::{Context, Result, bail};
use vm::ports::forward;
use vm::{Machine, Network, Pi};

use super::chatter::Crowd;
use super::verdict::Verifier;
use super::{BOOT_MAX, POWER_OFF_MAX, Plan, RUNNING};

/// Lets the kernel's own first line through, which names its version, in spite of `quiet`.
const SHOW_BANNER: &str = "loglevel=6";
const BANNER: &str = "Linux version ";
/// Of each of both people, in both rooms.
const MESSAGES: usize = 50;

pub(crate) fn run(plan: &Plan) -> Result<()> {
    let verifier = Verifier::prepare(&plan.tree, &plan.folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let https = forward(443, 8443)?;
    let mut pi = Pi::power_on(vm::Options {
        network: Network::Loopback(vec![https]),
        cmdline: SHOW_BANNER.to_owned(),
        ..vm::Options::new(Machine::Virt, &plan.card)
    })?;
    let banner = pi.wait_for(BANNER, BOOT_MAX).context("the kernel did not start")?;
    let kernel = version(&banner.text).context("the kernel's first line names no version")?;
    eprintln!("- kernel {kernel}");
    pi.wait_for(RUNNING, BOOT_MAX).context("the box did not come up")?;
    eprintln!("- running; claiming, {MESSAGES} messages of each of two people");
    let (mut crowd, rooms) = runtime.block_on(Crowd::claim(&https, &plan.token))?;
    for turn in 0..2 {
        let speaker = crowd.speaker(turn);
        speaker.say_alternately(&rooms, MESSAGES, &format!("turn {turn}"));
        runtime.block_on(speaker.settle_all(&https))?;
    }
    let verdict = verifier.ask(https.host, &crowd, crowd.acked())?;
    pi.power_off(POWER_OFF_MAX)?;
    let line = serde_json::json!({
        "machine": "virt",
        "kernel": kernel,
        "running": true,
        "acked": crowd.acked().len(),
    });
    println!("{line}");
    if !verdict.clean() {
        bail!("messages are lost, doubled or out of order: {verdict:?}");
    }
    Ok(())
}

/// `[    0.000000] Linux version 6.1.0-44-arm64 (...)`
fn version(banner: &str) -> Option<&str> {
    banner.split(BANNER).nth(1)?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_word_after_the_kernels_name() {
        let banner = "[    0.000000] Linux version 6.1.0-44-arm64 (debian-kernel@x) #1 SMP";
        assert_eq!(version(banner), Some("6.1.0-44-arm64"));
        assert_eq!(version("Booting Linux on physical CPU 0"), None);
    }
}
