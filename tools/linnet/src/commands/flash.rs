//! `linnet flash`: an image becomes a card that is yours.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use image::flash::{Checked, Flashed, Plan, Progress, Step, flash};
use image::provision::{Minted, check, mint};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::card::{Outcome, Settings};
use super::print;

const MIB: u64 = 1 << 20;

#[derive(Args)]
pub(crate) struct Flash {
    /// The image: .img, .img.zst or .img.xz. SHA256SUMS beside it is checked.
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// The card as a file; write it to a real card with the program you trust for that.
    #[arg(long, value_name = "OUT")]
    file: PathBuf,
    /// Size of the card; the file takes only as much room as is in use.
    #[arg(long, value_name = "SIZE", default_value = "8GiB", value_parser = size)]
    size: u64,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    outcome: Outcome,
    image_bytes: u64,
    checksum: &'static str,
}

impl Flash {
    pub(crate) fn run(self) -> Result<()> {
        let Minted { token, provisioning } = mint()?;
        let provisioning = self.settings.apply(provisioning)?;
        // Before minutes of writing, not after them.
        check(&provisioning)?;
        let plan = Plan {
            image: &self.image,
            file: &self.file,
            card_bytes: self.size,
            force: self.force,
            provisioning: &provisioning,
        };
        let mut bar = Bar::default();
        let flashed = flash(&plan, &mut |progress| bar.show(progress));
        bar.finish();
        let outcome = Outcome::new(&self.file, self.size, &provisioning, &token);
        match self.json {
            true => print::json_line(&Report::new(outcome, flashed?)),
            false => show(&outcome, flashed?),
        }
    }
}

impl Report {
    fn new(outcome: Outcome, flashed: Flashed) -> Self {
        let checksum = match flashed.checked {
            Checked::Right => "right",
            Checked::NoSums => "no SHA256SUMS beside the image",
            Checked::NotListed => "SHA256SUMS does not name the image",
        };
        Self { outcome, image_bytes: flashed.image_bytes, checksum }
    }
}

fn show(outcome: &Outcome, flashed: Flashed) -> Result<()> {
    let origin = match flashed.checked {
        Checked::Right => "its checksum was right",
        Checked::NoSums => "there was no SHA256SUMS beside it, so nobody vouches for it",
        Checked::NotListed => "SHA256SUMS beside it does not name it, so nobody vouches for it",
    };
    print::line(&format!(
        "{}: a card of {} MiB with an image of {} MiB; {origin}.\n",
        outcome.file.display(),
        outcome.card_bytes / MIB,
        flashed.image_bytes / MIB
    ))?;
    outcome.show()
}

/// A bar for the present step; none where stderr is no screen.
#[derive(Default)]
struct Bar {
    shown: Option<(Step, ProgressBar)>,
}

impl Bar {
    fn show(&mut self, progress: Progress) {
        if self.shown.as_ref().is_none_or(|(step, _)| *step != progress.step) {
            self.finish();
            let style = ProgressStyle::with_template(
                "{msg:14} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            );
            let bar = ProgressBar::new(progress.total)
                .with_style(style.expect("the template is a constant"))
                .with_message(match progress.step {
                    Step::Checking => "Checking",
                    Step::Writing => "Writing",
                    Step::ReadingBack => "Reading back",
                });
            self.shown = Some((progress.step, bar));
        }
        if let Some((_, bar)) = &self.shown {
            bar.set_position(progress.done);
        }
    }

    fn finish(&mut self) {
        if let Some((_, bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

/// `8GiB`, `512MiB`, or as cards are sold: `32GB`. Whole MiB.
fn size(text: &str) -> Result<u64, String> {
    let units = [("GiB", 1 << 30), ("MiB", MIB), ("GB", 1_000_000_000), ("MB", 1_000_000)];
    let found = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let bytes = found.and_then(|(number, unit): (&str, u64)| {
        number.trim().parse::<u64>().ok()?.checked_mul(unit)
    });
    match bytes.map(|bytes| bytes / MIB * MIB) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("a size looks like 8GiB, 512MiB or 32GB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_cards_and_computers_count() {
        assert_eq!(size("8GiB"), Ok(8 << 30));
        assert_eq!(size("512MiB"), Ok(512 * MIB));
        assert_eq!(size("32GB"), Ok(32_000_000_000 / MIB * MIB));
        for text in ["", "8", "GiB", "-1GiB", "0GiB", "1MB ", "1.5GiB", "99999999999GiB", "8TB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
