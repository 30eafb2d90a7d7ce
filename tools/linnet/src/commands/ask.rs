//! Asking the person at the keyboard, or the script on stdin.

use std::io::{IsTerminal, Write};

use anyhow::{Context, Result, bail};

/// Longest line that a password or link may be.
const LINE_BYTES_MAX: usize = 4096;

const USE_STDIN: &str = "scripts use --password-stdin";

/// The next line of stdin without its end.
pub(crate) fn line_of_stdin(what: &str) -> Result<String> {
    let mut line = String::new();
    let stdin = std::io::stdin();
    stdin.read_line(&mut line).with_context(|| format!("{what} could not be read from stdin"))?;
    if line.is_empty() || line.len() > LINE_BYTES_MAX {
        bail!("stdin held no {what}, or one over {LINE_BYTES_MAX} bytes");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for something visible.
pub(crate) fn visible(question: &str) -> Result<String> {
    eprint!("{question}: ");
    std::io::stderr().flush()?;
    line_of_stdin(question)
}

/// A password that exists already.
pub(crate) fn password(from_stdin: bool) -> Result<String> {
    if from_stdin {
        return line_of_stdin("password");
    }
    hidden("Password: ").context(USE_STDIN)
}

/// A password that is about to be set: typed twice.
pub(crate) fn new_password(from_stdin: bool) -> Result<String> {
    if from_stdin {
        return line_of_stdin("password");
    }
    let first = hidden("New password (at least 8 characters): ").context(USE_STDIN)?;
    if first != hidden("Once more: ").context(USE_STDIN)? {
        bail!("the two passwords differ; nothing was changed, try again");
    }
    Ok(first)
}

/// Something that must not be seen.
pub(crate) fn hidden(question: &str) -> Result<String> {
    rpassword::prompt_password(question).context("no terminal to ask for a password")
}

/// A yes, typed in full.
pub(crate) fn confirmed(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    Ok(visible(question)?.trim().eq_ignore_ascii_case("yes"))
}

/// What the device list calls this computer.
pub(crate) fn device_label(given: Option<String>) -> String {
    given.unwrap_or_else(|| {
        let system = rustix::system::uname();
        format!("linnet on {}", system.nodename().to_string_lossy())
    })
}
