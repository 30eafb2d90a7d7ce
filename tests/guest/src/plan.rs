//! The plan: one step a line, written by the host.

use anyhow::{Context as _, Result, ensure};

/// Protocol name of Linnet itself; every other one is a mode of `linnet-floor`.
pub(crate) const LINNET: &str = "linnet-plain";

/// More than this is not a plan; every step boots a server.
const STEPS_MAX: usize = 32;

/// One server and one load.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Names folder and report.
    pub(crate) name: String,
    /// What the generator speaks, which also says what the server is.
    pub(crate) protocol: String,
    /// The generator's scenario and its options.
    pub(crate) load: Vec<String>,
}

/// Reads `NAME PROTOCOL SCENARIO OPTIONS…` lines.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>> {
    let steps: Result<Vec<Step>> = text.lines().map(step).collect();
    let steps = steps?;
    ensure!((1..=STEPS_MAX).contains(&steps.len()), "a plan has 1 to {STEPS_MAX} steps");
    Ok(steps)
}

fn step(line: &str) -> Result<Step> {
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (name, protocol) = (words.next(), words.next());
    let load: Vec<String> = words.collect();
    ensure!(!load.is_empty(), "a step without a load: {line:?}");
    Ok(Step {
        name: name.context("a step has a name")?,
        protocol: protocol.context("a step has a protocol")?,
        load,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_a_protocol_and_a_load() {
        let steps = parse("lone linnet-plain lone --messages 5\n").unwrap();
        assert_eq!(steps.len(), 1);
        assert_eq!((steps[0].name.as_str(), steps[0].protocol.as_str()), ("lone", LINNET));
        assert_eq!(steps[0].load, ["lone", "--messages", "5"]);
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        assert!(parse("").is_err());
        assert!(parse("lone linnet-plain").is_err());
        assert!(parse(&"a linnet-plain lone\n".repeat(STEPS_MAX + 1)).is_err());
    }
}
