//! A broken promise: which check noticed, and what it saw.

/// What ends a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Name of the check.
    pub(crate) check: &'static str,
    /// What it saw.
    pub(crate) text: String,
}

pub(crate) type Checked<T = ()> = Result<T, Violation>;

/// Fails with a text unless the condition holds.
pub(crate) fn ensure(holds: bool, check: &'static str, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { check, text: text() }) }
}

/// A violation right away.
pub(crate) fn broken<T>(check: &'static str, text: impl Into<String>) -> Checked<T> {
    Err(Violation { check, text: text.into() })
}

impl Violation {
    /// The text, cut to one line of a screen.
    #[cfg(feature = "mutants")]
    pub(crate) fn brief(&self) -> String {
        self.text.chars().take(160).collect()
    }
}
