//! Deliberate faults, one at a time: each must be caught, or the simulator is blind to its kind.

use chat::Config;
use log::Options;

/// Which fault is on, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Faults {
    /// The programs as they are.
    #[default]
    None,
    #[cfg(feature = "mutants")]
    Core(chat::Mutant),
    #[cfg(feature = "mutants")]
    Log(log::Mutant),
}

impl Faults {
    #[cfg_attr(
        not(feature = "mutants"),
        allow(clippy::needless_pass_by_ref_mut, clippy::unused_self)
    )]
    pub(crate) fn put_into(self, config: &mut Config, options: &mut Options) {
        #[cfg(feature = "mutants")]
        match self {
            Self::None => {}
            Self::Core(mutant) => config.mutant = Some(mutant),
            Self::Log(mutant) => options.mutant = Some(mutant),
        }
        #[cfg(not(feature = "mutants"))]
        let _ = (config, options);
    }
}

/// All of them.
#[cfg(feature = "mutants")]
pub(crate) const ALL: &[Faults] = &[
    Faults::Core(chat::Mutant::AckBeforeSync),
    Faults::Core(chat::Mutant::AcceptGap),
    Faults::Core(chat::Mutant::NoDedup),
    Faults::Core(chat::Mutant::NoConflict),
    Faults::Core(chat::Mutant::ForgetReceiver),
    Faults::Core(chat::Mutant::CursorOffByOne),
    Faults::Core(chat::Mutant::CursorAhead),
    Faults::Core(chat::Mutant::CheckpointAhead),
    Faults::Core(chat::Mutant::CheckpointForgetsMembers),
    Faults::Core(chat::Mutant::SkipVisibility),
    Faults::Core(chat::Mutant::LiveTooEarly),
    Faults::Core(chat::Mutant::IgnoreOverflow),
    Faults::Core(chat::Mutant::ForgetLeave),
    Faults::Log(log::Mutant::SkipRecoverySync),
    Faults::Log(log::Mutant::KeepTornRecord),
];
