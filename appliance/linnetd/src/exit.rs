//! How the process ends when it can't go on. init reads the code, restarts it with back-off, and
//! recovery decides what is true.

/// sysexits.h EX_IOERR: the card failed; start again and recover from what it holds.
pub(crate) const CARD_FAILED: i32 = 74;

/// sysexits.h EX_CONFIG: nothing that a restart would cure.
pub(crate) const REFUSED: u8 = 78;

/// Ends at once: after a failed write the page cache is not to be trusted, and nobody may get an
/// ack any more.
pub(crate) fn card_failed(error: &log::LogError) -> ! {
    tracing::error!(%error, "the card failed; nothing un-acked is promised; restarting");
    std::process::exit(CARD_FAILED)
}

/// A panic anywhere is a programmer's mistake: end the process, also in debug builds, so that init
/// restarts it through recovery instead of a box that half works.
pub(crate) fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
}
