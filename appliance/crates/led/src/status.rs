//! The published code list. One status is shown at a time; who is more urgent is init's decision.

use std::fmt;

use crate::pattern::Pattern;

/// What the LED says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// The system starts.
    Booting,
    /// File system check, growth, replay, rebuild: leave the plug in.
    LongWork,
    /// Up; nobody owns the box yet.
    WaitingToBeClaimed,
    /// Up and healthy.
    Running,
    /// No cable, no access point or no address.
    NoNetwork,
    /// The time is only the floor.
    ClockNotSet,
    /// An update proves itself: leave the plug in.
    UpdateTrial,
    /// An update failed and was taken back; the health page says why.
    RolledBack,
    /// Little room is left.
    CardNearlyFull,
    /// The box cannot work; the console and the rescue page say why.
    Failed,
}

impl Status {
    /// All of them, in the order of the published list.
    pub const ALL: [Self; 10] = [
        Self::Booting,
        Self::LongWork,
        Self::WaitingToBeClaimed,
        Self::Running,
        Self::NoNetwork,
        Self::ClockNotSet,
        Self::UpdateTrial,
        Self::RolledBack,
        Self::CardNearlyFull,
        Self::Failed,
    ];

    /// What it means to somebody in front of the box.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Booting => "it starts, or its server does",
            Self::LongWork => "checks or repairs: leave the plug in",
            Self::WaitingToBeClaimed => "all is well; open the claim link",
            Self::Running => "all is well",
            Self::NoNetwork => "no cable, no access point or no address",
            Self::ClockNotSet => "no time yet; it works all the same",
            Self::UpdateTrial => "an update proves itself: leave the plug in",
            Self::RolledBack => "an update failed and was taken back",
            Self::CardNearlyFull => "little room is left on the card",
            Self::Failed => "it cannot work; its page says why",
        }
    }

    /// How it looks. Times in milliseconds, on first. Codes are counted, so they can be read out on
    /// the telephone: short flashes for what goes away by itself or by plugging something in, one
    /// long and some short ones for what the owner should look at.
    pub fn pattern(self) -> Pattern {
        Pattern::new(match self {
            Self::Booting => &[100, 100],
            Self::LongWork => &[500, 500],
            Self::WaitingToBeClaimed => &[150, 250, 150, 1450],
            Self::Running => &[4900, 100],
            Self::NoNetwork => &[150, 250, 150, 250, 150, 1450],
            Self::ClockNotSet => &[150, 250, 150, 250, 150, 250, 150, 1450],
            Self::UpdateTrial => &[900, 100],
            Self::RolledBack => &[800, 250, 150, 250, 150, 1450],
            Self::CardNearlyFull => &[800, 250, 150, 250, 150, 250, 150, 1450],
            // Morse code SOS.
            Self::Failed => &[
                150, 150, 150, 150, 150, 450, 450, 150, 450, 150, 450, 450, 150, 150, 150, 150,
                150, 1050,
            ],
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Booting => "booting",
            Self::LongWork => "long work",
            Self::WaitingToBeClaimed => "waiting to be claimed",
            Self::Running => "running",
            Self::NoNetwork => "no network",
            Self::ClockNotSet => "clock not set",
            Self::UpdateTrial => "update trial",
            Self::RolledBack => "rolled back",
            Self::CardNearlyFull => "card nearly full",
            Self::Failed => "failed",
        })
    }
}
