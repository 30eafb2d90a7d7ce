//! The step between init and a service: `linnet-init guard NAME PROGRAM ARGUMENT…` gives up what
//! the service may not have and becomes the program. It is a process of its own with one thread, so
//! that no code runs between fork and exec in pid 1. User and capabilities are never skipped; what
//! an older kernel lacks is said, and the service runs without it.
//!
//! | step | why here |
//! |---|---|
//! | group of limits | needs root |
//! | own /tmp | needs root, and goes before Landlock, which forbids mounting |
//! | user, capabilities | from here on nothing needs root |
//! | Landlock | needs no rights, but system calls that the filter refuses |
//! | system calls | last: only exec follows |

mod filesystem;
mod identity;
mod rights;
mod syscalls;
mod tmp;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::cgroup;
use rights::Rights;

/// Why the program was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardError {
    #[error("usage: linnet-init guard NAME PROGRAM ARGUMENT…")]
    Usage,
    #[error("there is no table of rights for {0}")]
    Unknown(String),
    #[error("only root can give up what root has")]
    NotRoot,
    #[error("root could not be given up: {0}")]
    Identity(io::Error),
    #[error("the filter of system calls could not be set: {0}")]
    Syscalls(String),
    #[error("{0} could not be started: {1}")]
    Exec(String, io::Error),
}

/// Becomes the program; returns only with an error.
pub(crate) fn run(arguments: &[String]) -> GuardError {
    let [name, program, rest @ ..] = arguments else { return GuardError::Usage };
    let Some(rights) = Rights::of(name) else { return GuardError::Unknown(name.clone()) };
    // Once the user changed, /proc/self/exe may not be followed any more.
    let path = Path::new(program).canonicalize();
    let path = match path {
        Ok(path) => path,
        Err(error) => return GuardError::Exec(program.clone(), error),
    };
    if let Err(error) = confine(&rights, &path) {
        return error;
    }
    GuardError::Exec(program.clone(), Command::new(path).args(rest).exec())
}

fn confine(rights: &Rights, program: &Path) -> Result<(), GuardError> {
    if !rustix::process::geteuid().is_root() {
        return Err(GuardError::NotRoot);
    }
    let own = rustix::process::getpid();
    say(cgroup::enter(rights.name, own), "its group of limits could not be entered");
    say(tmp::make_private(rights.id), "it has no /tmp of its own");
    identity::take(rights).map_err(GuardError::Identity)?;
    if let Err(why) = filesystem::restrict(rights, program) {
        eprintln!("{} is not fenced in by Landlock: {why}.", rights.name);
    }
    syscalls::restrict(rights).map_err(|error| GuardError::Syscalls(error.to_string()))
}

fn say(result: io::Result<()>, what: &str) {
    if let Err(error) = result {
        eprintln!("One of the fences is missing, {what}: {error}.");
    }
}
