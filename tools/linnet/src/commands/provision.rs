//! `linnet provision`: a new claim link for a card that exists, without writing it anew.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use image::provision::{mint, provision, read, renew, reset_id};

use super::card::{Outcome, Settings};
use super::print;

#[derive(Args)]
pub(crate) struct Provision {
    /// The card as a file.
    #[arg(long, value_name = "CARD")]
    file: PathBuf,
    /// At its next start the box forgets everything: messages, users, settings, its identity.
    #[arg(long)]
    factory_reset: bool,
    /// Forget the settings that the card has; the options give all of the new ones.
    #[arg(long)]
    blank: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Provision {
    pub(crate) fn run(self) -> Result<()> {
        // A box carries out a reset once per id, so an old wish is not repeated by keeping it.
        let old = if self.blank { None } else { read(&self.file)? };
        for complaint in old.iter().flat_map(|old| &old.complaints) {
            eprintln!("The card's old file: {complaint}.");
        }
        let old = match old {
            Some(parsed) => parsed.provisioning,
            None => mint()?.provisioning,
        };
        let mut minted = renew(self.settings.apply(old)?)?;
        if self.factory_reset {
            minted.provisioning.factory_reset = Some(reset_id()?);
        }
        provision(&self.file, &minted.provisioning)?;
        let bytes = std::fs::metadata(&self.file)?.len();
        let outcome = Outcome::new(&self.file, bytes, &minted.provisioning, &minted.token);
        if self.json {
            return print::json_line(&outcome);
        }
        match self.factory_reset {
            true => {
                print::line("The box will erase itself at its next start; earlier links are dead.")?
            }
            false => print::line(
                "Earlier claim links are dead. A box that has an owner keeps them; \
                 --factory-reset erases it first.",
            )?,
        }
        outcome.show()
    }
}
