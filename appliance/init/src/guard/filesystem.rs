//! Landlock: files, TCP ports, signals. What the kernel knows of it is used; a kernel without it
//! (Raspberry Pi OS, some of Debian's) is said and not waited for.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::rights::Rights;

/// Rights of kernel 6.12, the release's own; an older one takes what it knows.
const KNOWN: ABI = ABI::V6;

/// Restricts this process and all that it starts.
pub(super) fn restrict(rights: &Rights, program: &Path) -> Result<(), String> {
    match apply(rights, program) {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            Err("this kernel does not have it".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn apply(rights: &Rights, program: &Path) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let execute = AccessFs::Execute | AccessFs::ReadFile;
    let all = AccessFs::from_all(KNOWN);
    let programs = rights.executable.iter().map(Path::new).chain([program]);
    let mut rules = Ruleset::default().handle_access(all)?;
    if rights.ports.is_some() {
        rules = rules.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    }
    let rules = rules.scope(Scope::Signal | Scope::AbstractUnixSocket)?.create()?;
    let rules = rules
        .add_rules(path_beneath_rules(rights.readable, read))?
        .add_rules(path_beneath_rules(programs, execute))?
        .add_rules(path_beneath_rules(rights.writable, changes(all)))?;
    let ports = rights.ports.unwrap_or_default().iter();
    let ports = ports.map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::BindTcp)));
    rules.add_rules(ports)?.restrict_self()
}

/// Everything but starting programs and making device files.
fn changes(all: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    all & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
}
