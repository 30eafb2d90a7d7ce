//! What is counted: names, servers and loads. Counts are small: an instruction count repeats
//! within a few hundredths, and an emulated processor is slow.

use anyhow::{Result, ensure};

/// What a step's instructions are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Delivery,
    Message,
}

/// One server and one load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// One word; also its key in JSON.
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// What the generator speaks; the ring floor's is the floor's mode.
    pub(super) protocol: &'static str,
    pub(super) load: &'static str,
    pub(super) per: Unit,
}

const LINNET: &str = "linnet-plain";

const ALL: &[Step] = &[
    Step {
        name: "fanout_200",
        what: "fan-out to 200, 1 in flight",
        protocol: LINNET,
        load: "fanout --members 200 --in-flight 1 --messages 300",
        per: Unit::Delivery,
    },
    Step {
        name: "fanout_200_loaded",
        what: "fan-out to 200, 10 in flight",
        protocol: LINNET,
        load: "fanout --members 200 --in-flight 10 --messages 1000",
        per: Unit::Delivery,
    },
    Step {
        name: "fanout_1000",
        what: "fan-out to 1,000, 1 in flight",
        protocol: LINNET,
        load: "fanout --members 1000 --in-flight 1 --messages 60",
        per: Unit::Delivery,
    },
    Step {
        name: "fanout_1000_loaded",
        what: "fan-out to 1,000, 10 in flight",
        protocol: LINNET,
        load: "fanout --members 1000 --in-flight 10 --messages 200",
        per: Unit::Delivery,
    },
    Step {
        name: "pairs",
        what: "one-to-one, 200 pairs, every message durable",
        protocol: LINNET,
        load: "pairs --pairs 200 --messages 8000",
        per: Unit::Message,
    },
    Step {
        name: "durable",
        what: "durable, 256 senders with 16 outstanding",
        protocol: LINNET,
        load: "durable --senders 256 --outstanding 16 --messages 40000",
        per: Unit::Message,
    },
    Step {
        name: "lone",
        what: "one message at a time, 192 bytes, a commit each",
        protocol: LINNET,
        load: "lone --messages 1000",
        per: Unit::Message,
    },
    Step {
        name: "floor_fanout_200",
        what: "ring floor, fan-out to 200",
        protocol: "uring-broadcast",
        load: "fanout --members 200 --in-flight 1 --messages 300",
        per: Unit::Delivery,
    },
    Step {
        name: "floor_fanout_1000",
        what: "ring floor, fan-out to 1,000",
        protocol: "uring-broadcast",
        load: "fanout --members 1000 --in-flight 1 --messages 60",
        per: Unit::Delivery,
    },
    Step {
        name: "floor_pairs",
        what: "ring floor, 200 pairs, nothing durable",
        protocol: "uring-pairs",
        load: "pairs --pairs 200 --messages 8000",
        per: Unit::Message,
    },
];

/// The steps whose names begin like this.
pub(super) fn steps(only: &str) -> Result<Vec<Step>> {
    let steps: Vec<Step> = ALL.iter().filter(|step| step.name.starts_with(only)).copied().collect();
    ensure!(!steps.is_empty(), "no step begins with {only}");
    Ok(steps)
}

/// The guest's plan: `NAME PROTOCOL SCENARIO OPTIONS…`, a line each.
pub(super) fn text(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("{} {} {}\n", step.name, step.protocol, step.load)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_each_step_once_and_what_loads_it() {
        let steps = steps("").unwrap();
        let lines = text(&steps);
        for step in &steps {
            let own = format!("{} {} ", step.name, step.protocol);
            assert_eq!(lines.lines().filter(|line| line.starts_with(&own)).count(), 1);
            assert!(!step.name.contains(' ') && !step.load.is_empty(), "{}", step.name);
        }
    }

    #[test]
    fn steps_are_chosen_by_the_beginning_of_their_names() {
        assert_eq!(steps("floor_").unwrap().len(), 3);
        assert!(steps("nothing").is_err());
    }
}
