//! A mixed day: people write to their neighbour, to themselves and to everybody, read what arrives,
//! and now and then lose their connection and come back.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::Drive;
use super::pace::open_loop;
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::run::{News, Run};

/// Of a thousand messages, how many go to the big room.
const BIG_PER_MILLE: u64 = 10;

/// Of a thousand messages, how many are notes to oneself.
const OWN_PER_MILLE: u64 = 150;

/// Of a thousand deliveries, how many are read at once.
const READ_PER_MILLE: u64 = 300;

/// Options of `busyday`.
#[derive(Args, Clone, Debug)]
pub struct BusyDay {
    /// How many people; all are members of the big room.
    #[arg(long, default_value_t = 1_000)]
    pub users: u32,

    /// Messages a second of all together.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 200.0)]
    pub rate: f64,

    /// How many messages in all.
    #[arg(long, default_value_t = 12_000)]
    pub messages: u64,

    /// Of a thousand messages, after how many somebody's connection is cut and comes back.
    #[arg(long, value_name = "PER_MILLE", default_value_t = 10)]
    pub reconnects: u64,

    /// Begins the sequence of choices: the same number, the same day.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Drive for BusyDay {
    fn name(&self) -> &'static str {
        "busyday"
    }

    fn sessions(&self) -> u32 {
        self.users
    }

    fn messages(&self) -> u64 {
        self.messages
    }

    fn unit(&self) -> u32 {
        self.users
    }

    fn check(&self, layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        let (pairs, big) = (layout.pairs.len(), layout.big.members);
        ensure!(self.users.is_multiple_of(2), "--users must be even: neighbours write");
        ensure!(usize::try_from(self.users / 2)? <= pairs, "the layout has {pairs} pairs");
        ensure!(self.users <= big, "the layout's big room has {big} members");
        ensure!(layout.own_room(self.users - 1).is_some(), "too few rooms of one's own");
        ensure!(self.rate > 0.0, "--rate must be above 0");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        run.connect_all(run.options.connecting, true)?;
        run.pass(Step::Ready)?;
        let mut day = Day { options: self, dice: Dice(self.seed), away: HashSet::new() };
        open_loop(run, self.messages, self.rate, |run, _, due| day.message(run, due))?;
        run.pass(Step::Measured)?;
        run.pass(Step::Checked)
    }
}

struct Day<'a> {
    options: &'a BusyDay,
    dice: Dice,
    /// Slots that connect again.
    away: HashSet<usize>,
}

impl Day<'_> {
    fn message(&mut self, run: &mut Run<'_>, due: u64) {
        self.react(run);
        let mut slot = self.any(run);
        while self.away.contains(&slot) {
            slot = (slot + 1) % run.pool.slots();
        }
        let (room, audience) = self.place(run, slot).expect("the layout was checked");
        run.post(slot, room, due, audience);
        if self.dice.below(1_000) < self.options.reconnects {
            self.cut_one(run);
        }
    }

    /// Cuts somebody's connection who is not about to hear of a message of theirs: the generator
    /// keeps no outbox that it would send again.
    fn cut_one(&mut self, run: &mut Run<'_>) {
        let slot = self.any(run);
        let most = run.pool.slots() / 4;
        if self.away.len() < most && run.is_at_rest(slot) && self.away.insert(slot) {
            run.reconnect(slot);
        }
    }

    fn any(&mut self, run: &Run<'_>) -> usize {
        let slots = u64::try_from(run.pool.slots()).expect("usize fits 64 bits");
        usize::try_from(self.dice.below(slots)).expect("below the slots")
    }

    /// Where the next message goes and how many copies it makes: one for each member, as those who
    /// are away get theirs when they come back.
    fn place(&mut self, run: &Run<'_>, slot: usize) -> Result<(u32, u32)> {
        let index = run.pool.index(slot);
        let rest = self.dice.below(1_000);
        if rest < BIG_PER_MILLE {
            return Ok((run.layout.big.room, run.audience(self.options.users)));
        }
        if rest < BIG_PER_MILLE + OWN_PER_MILLE {
            let room = run.layout.own_room(index).context("no room of one's own")?;
            return Ok((room, run.audience(1)));
        }
        Ok((run.layout.pair_room(index / 2).context("no pair")?, run.audience(2)))
    }

    fn react(&mut self, run: &mut Run<'_>) {
        for place in 0..run.news.len() {
            match run.news[place] {
                News::Ready(slot) => {
                    self.away.remove(&slot);
                }
                News::Delivered { slot, room } if self.dice.below(1_000) < READ_PER_MILLE => {
                    run.pool.act(slot, |session, out| session.mark_read(room, out));
                }
                _ => {}
            }
        }
        run.news.clear();
    }
}

/// A repeatable sequence (splitmix64, Steele et al. 2014): good enough for choices.
struct Dice(u64);

impl Dice {
    const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_fall_evenly_and_the_same_again() {
        let mut counts = [0_u32; 6];
        let mut dice = Dice(7);
        for _ in 0..6_000 {
            counts[usize::try_from(dice.below(6)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!(Dice(7).below(1 << 40), Dice(7).below(1 << 40));
    }
}
