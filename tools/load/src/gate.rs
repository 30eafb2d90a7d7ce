//! Where processes wait for one another, and where the server is looked at.
//!
//! A run is cut into phases by named steps. One process alone passes each step after it looked at
//! the server; several report to their parent, which looks once all are there.

use std::io::{BufRead as _, Write as _};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::server::{Meter, Sample};

/// A named moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Nothing is connected.
    Before,
    /// All is prepared; what is measured begins.
    Ready,
    /// What is measured is over; connections still stand.
    Measured,
    /// Whatever was checked after that is over.
    Checked,
}

impl Step {
    pub(crate) const ALL: [Self; 4] = [Self::Before, Self::Ready, Self::Measured, Self::Checked];
}

/// What a process does at a step.
pub(crate) enum Gate {
    /// It is alone: looks at the server itself.
    Alone(Samples),
    /// It is one of several: tells its parent, and waits.
    Child,
}

/// The looks at the server, in the order of steps.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    meter: Option<Meter>,
    taken: Vec<(Step, Sample)>,
    times: Vec<(Step, Instant, Instant)>,
}

impl Samples {
    pub(crate) const fn new(meter: Option<Meter>) -> Self {
        Self { meter, taken: Vec::new(), times: Vec::new() }
    }

    /// Looks at the server, if there is one to look at.
    pub(crate) fn take(&mut self, step: Step) -> Result<()> {
        let begun = Instant::now();
        if let Some(meter) = &self.meter {
            self.taken.push((step, meter.sample()?));
        }
        self.times.push((step, begun, Instant::now()));
        Ok(())
    }

    /// Seconds from the end of one look to the beginning of another.
    pub(crate) fn seconds(&self, from: Step, to: Step) -> Option<f64> {
        let find = |step| self.times.iter().find(|(taken, ..)| *taken == step);
        find(from).zip(find(to)).map(|((.., from), (_, to, _))| (*to - *from).as_secs_f64())
    }

    pub(crate) fn at(&self, step: Step) -> Option<&Sample> {
        self.taken.iter().find(|(taken, _)| *taken == step).map(|(_, sample)| sample)
    }
}

impl Gate {
    /// Passes a step; a child waits for its siblings.
    ///
    /// # Errors
    /// A server or a parent that is gone.
    pub(crate) fn pass(&mut self, step: Step) -> Result<()> {
        match self {
            Self::Alone(samples) => samples.take(step),
            Self::Child => {
                let mut output = std::io::stdout().lock();
                writeln!(output, "step")?;
                output.flush()?;
                let mut line = String::new();
                if std::io::stdin().lock().read_line(&mut line)? == 0 {
                    bail!("the process that started this one is gone");
                }
                Ok(())
            }
        }
    }
}
