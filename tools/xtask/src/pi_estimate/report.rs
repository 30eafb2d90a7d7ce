//! The estimate for people and as a line of JSON. It says of itself what it is.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::figures::{CLOCK_MHZ, Counted, IPC, a72_us};
use super::plan::{Step, Unit};

/// What it was counted with.
pub(super) struct About {
    pub(super) qemu: String,
    pub(super) kernel: String,
}

/// The page.
pub(super) fn text(about: &About, steps: &[Step], counted: &[Counted]) -> String {
    let mut text = head(about);
    text += &table(steps, counted);
    text += &ratios(steps, counted);
    text += &threads(steps, counted);
    text
}

fn head(about: &About) -> String {
    let About { qemu, kernel } = about;
    let (low, middle, high) = (IPC.low, IPC.middle, IPC.high);
    format!(
        "# An estimate for the Pi\n\n\
         **An estimate, not measured on a board.** Instructions are counted; microseconds are \
         arithmetic on an assumption. `cargo xtask pi-estimate --write` makes this page.\n\n\
         - Counted by {qemu}, `-M virt -cpu cortex-a72 -smp 1 -icount shift=0`: each instruction \
         takes one nanosecond of the guest's time, so a process's time on the processor \
         (`schedstat`) is its number of instructions, the kernel's work for it included \
         (`irqtime=0`: interrupts too). `--shift 1` makes an instruction two nanoseconds and \
         every figure double, which shows that it is instructions that are counted.\n\
         - Guest kernel: Debian's {kernel}. Programs: this tree, aarch64, profile `emulator` \
         (`opt-level = 2`), static, `--rings 1`, without TLS. Generator and server share the one \
         processor and talk by loopback, so the receiver's half of TCP is in the sender's count; \
         the disk is virtio with ext4. Linnet logs every message, also in fan-out.\n\
         - Arithmetic: microseconds = instructions / (IPC x {CLOCK_MHZ:.0} MHz), a Cortex-A72 at \
         1.5 GHz. **IPC is assumed: {middle}, range {low} to {high}**; nobody measured it here.\n\
         - Not modelled: caches, memory, branch prediction, a network card and its driver, the \
         card's time for a sync (syncs end at once, so commits hold fewer messages than on a \
         card), several cores and what they cost each other (on one, four threads take turns). \
         The last column is what one core's instructions allow, whatever card and network do.\n\n"
    )
}

fn table(steps: &[Step], counted: &[Counted]) -> String {
    let mut text = format!(
        "| load | messages | per | instructions | us, IPC {} | {} | {} | one core, per s |\n\
         |---|--:|---|--:|--:|--:|--:|--:|\n",
        IPC.high, IPC.middle, IPC.low
    );
    for (step, found) in found(steps, counted) {
        let each = each(step, found);
        let us = |ipc| a72_us(each, ipc);
        let per = match step.per {
            Unit::Delivery => "delivery",
            Unit::Message => "message",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {per} | {each:.0} | {:.1} | {:.1} | {:.1} | {:.0} |",
            step.what,
            found.messages,
            us(IPC.high),
            us(IPC.middle),
            us(IPC.low),
            1e6 / us(IPC.middle)
        );
    }
    text
}

/// What needs no assumption: counts against counts.
const RATIOS: [(&str, &str); 5] = [
    ("fanout_200", "floor_fanout_200"),
    ("fanout_200_loaded", "floor_fanout_200"),
    ("fanout_1000", "floor_fanout_1000"),
    ("fanout_1000_loaded", "floor_fanout_1000"),
    ("pairs", "floor_pairs"),
];

fn ratios(steps: &[Step], counted: &[Counted]) -> String {
    let of = |name: &str| {
        found(steps, counted).find(|(step, _)| step.name == name).map(|(step, it)| each(step, it))
    };
    let mut text = "\nInstructions against the ring floor (no assumption in these):\n\n".to_owned();
    for (name, floor) in RATIOS {
        if let Some((own, floor_each)) = of(name).zip(of(floor)) {
            let _ = writeln!(text, "- {name} / {floor}: {:.2}", own / floor_each);
        }
    }
    text
}

fn threads(steps: &[Step], counted: &[Counted]) -> String {
    let mut text =
        "\nInstructions by thread, and bytes that the device took, per unit:\n\n".to_owned();
    for (step, found) in found(steps, counted) {
        let units = units(step, found);
        let busy = found.threads.iter().filter(|(_, instructions)| *instructions > 0.0);
        let list: Vec<String> =
            busy.map(|(name, count)| format!("{name} {:.0}", count / units)).collect();
        let bytes = found
            .device_bytes
            .map_or(String::new(), |bytes| format!("; {:.0} bytes", real(bytes) / units));
        let _ = writeln!(text, "- {}: {}{bytes}", step.name, list.join(", "));
    }
    text
}

/// One object: instructions per unit by step, and the assumption beside them.
pub(super) fn json(steps: &[Step], counted: &[Counted]) -> Value {
    let counts: Map<String, Value> = found(steps, counted)
        .map(|(step, it)| (step.name.to_owned(), json!(each(step, it).round())))
        .collect();
    json!({
        "estimate_not_measured_on_a_board": true,
        "clock_mhz": CLOCK_MHZ,
        "ipc_assumed": [IPC.low, IPC.middle, IPC.high],
        "instructions_per_unit": counts,
    })
}

fn found<'a>(
    steps: &'a [Step],
    counted: &'a [Counted],
) -> impl Iterator<Item = (&'a Step, &'a Counted)> {
    steps.iter().filter_map(|step| {
        counted.iter().find(|counted| counted.name == step.name).map(|counted| (step, counted))
    })
}

fn each(step: &Step, counted: &Counted) -> f64 {
    counted.instructions / units(step, counted)
}

fn units(step: &Step, counted: &Counted) -> f64 {
    real(match step.per {
        Unit::Delivery => counted.deliveries,
        Unit::Message => counted.messages,
    })
}

#[allow(clippy::cast_precision_loss, reason = "counts of a run are below 2^53")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::*;

    fn counted(name: &str, deliveries: u64, instructions: f64) -> Counted {
        let (threads, device_bytes) = (vec![("ring-0".to_owned(), instructions)], None);
        let name = name.to_owned();
        Counted { name, messages: 10, deliveries, instructions, threads, device_bytes }
    }

    #[test]
    fn the_page_says_what_it_is_and_divides_by_the_right_unit() {
        let steps = plan::steps("").unwrap();
        let counted = [
            counted("fanout_200", 2_000, 18e6),
            counted("floor_fanout_200", 2_000, 12e6),
            counted("lone", 0, 1e6),
        ];
        let about = About { qemu: "QEMU 10".into(), kernel: "linux".into() };
        let page = text(&about, &steps, &counted);
        assert!(page.contains("not measured on a board"), "{page}");
        assert!(page.contains("| delivery | 9000 | 5.0 | 6.7 | 10.0 | 150000 |"), "{page}");
        assert!(page.contains("| message | 100000 |"), "{page}");
        assert!(page.contains("fanout_200 / floor_fanout_200: 1.50"), "{page}");
        let line = json(&steps, &counted);
        assert_eq!(line["instructions_per_unit"]["fanout_200"], 9_000.0);
        assert_eq!(line["estimate_not_measured_on_a_board"], true);
    }
}
