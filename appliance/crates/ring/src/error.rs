//! Why the rings could not start: one sentence with the cause and what to do.

use std::io;

/// Why [`crate::Rings::start`] failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel was built without io_uring, or a sandbox hides it.
    #[error(
        "the kernel offers no io_uring (ENOSYS): run on Linux 6.1 or newer built with \
         CONFIG_IO_URING, or let the sandbox pass the io_uring system calls"
    )]
    Missing,
    /// The system forbids io_uring to this process.
    #[error(
        "io_uring is forbidden here (EPERM): set the sysctl kernel.io_uring_disabled to 0, or to \
         1 with kernel.io_uring_group set to this user's group, or start the container with a \
         seccomp profile that allows it"
    )]
    Forbidden,
    /// The kernel does not know the flags that the loop is built on.
    #[error("the kernel's io_uring is too old (EINVAL): Linux 6.1 or newer is needed")]
    TooOld,
    /// Memory for the rings can't be had.
    #[error(
        "there is no memory for the rings ({0}): lower the number of rings or raise the limits \
         on memory and locked memory"
    )]
    NoMemory(io::Error),
    /// The configuration contradicts itself.
    #[error("the ring configuration is wrong: {0}")]
    Config(&'static str),
    /// Another call failed.
    #[error("the rings can't start, as {step} failed ({source}): see the kernel's log")]
    Failed {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// Reads an error of `io_uring_setup`.
    pub(crate) fn from_setup(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::Missing,
            Some(libc::EPERM | libc::EACCES) => Self::Forbidden,
            Some(libc::EINVAL) => Self::TooOld,
            Some(libc::ENOMEM) => Self::NoMemory(error),
            _ => Self::Failed { step: "io_uring_setup", source: error },
        }
    }

    /// True when the system refuses io_uring altogether: tests are skipped then, with this reason.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Missing | Self::Forbidden | Self::TooOld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_names_its_cause_and_a_remedy_in_one_sentence() {
        for (errno, cause, remedy) in [
            (libc::ENOSYS, "ENOSYS", "CONFIG_IO_URING"),
            (libc::EPERM, "EPERM", "kernel.io_uring_disabled"),
            (libc::EINVAL, "EINVAL", "6.1 or newer"),
        ] {
            let error = StartError::from_setup(io::Error::from_raw_os_error(errno));
            let text = error.to_string();
            assert!(error.is_refusal() && text.contains(cause) && text.contains(remedy), "{text}");
            assert!(!text.contains('\n') && !text.contains(". "), "{text}");
        }
    }
}
