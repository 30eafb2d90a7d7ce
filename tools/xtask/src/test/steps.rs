//! The steps of `cargo xtask test`, one row each.

use std::process::Command;

use crate::run::{cargo, npm};

/// One row: a name for `--only`, what it checks, and the commands that check it.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) commands: fn() -> Vec<Command>,
}

pub(super) const STEPS: &[Step] = &[
    Step {
        name: "format",
        about: "the Rust code is formatted",
        commands: || vec![cargo(&["fmt", "--all", "--check"])],
    },
    Step {
        name: "client",
        about: "the web client's types, format and unit tests, and its build",
        commands: || {
            vec![
                npm(&["ci"]),
                npm(&["run", "check"]),
                npm(&["run", "lint"]),
                npm(&["test"]),
                npm(&["run", "build"]),
            ]
        },
    },
    Step {
        name: "clippy",
        about: "no warnings, with and without the simulator's deliberate faults",
        commands: || {
            let lint = |what: &[&str]| {
                cargo(&[&["clippy", "--all-targets"], what, &["--", "-D", "warnings"]].concat())
            };
            vec![
                lint(&["--workspace"]),
                lint(&["--package", "linnet-sim", "--features", "mutants"]),
            ]
        },
    },
    Step {
        name: "rust",
        about: "unit tests, tidy, and the server through real sockets",
        commands: || vec![cargo(&["test", "--workspace", "--no-fail-fast"])],
    },
    Step {
        name: "image",
        about: "the release image's configurations, packages, hooks and patches are consistent",
        commands: || vec![cargo(&["xtask", "image", "--check"])],
    },
    Step {
        name: "simulator",
        about: "200 seeds of drops, kills and power cuts against the real core and log",
        commands: || vec![cargo(&["xtask", "sim", "--seeds", "200"])],
    },
    Step {
        name: "mutants",
        about: "every deliberate fault is caught by the simulator",
        commands: || vec![cargo(&["xtask", "sim", "--mutants"])],
    },
    Step {
        name: "browser",
        about: "the web client in Chromium against a real server",
        commands: || vec![cargo(&["build", "--package", "linnetd"]), npm(&["run", "e2e"])],
    },
    Step {
        name: "emulator",
        about: "the card in an emulated Pi: claim, chat, kills and power cuts, nothing lost",
        commands: || vec![cargo(&["xtask", "emulate", "--smoke"])],
    },
    Step {
        name: "linux61",
        about: "the same programs on Debian 12's own kernel, the oldest that is supported",
        commands: || vec![cargo(&["xtask", "emulate", "--kernel", "6.1", "--smoke"])],
    },
    Step {
        name: "pi4",
        about: "the same card on QEMU's Pi 4B: the status LED moves the real GPIO block",
        commands: || vec![cargo(&["xtask", "emulate", "--machine", "raspi4b", "--smoke"])],
    },
    Step {
        name: "vm",
        about: "a box in a network: cables, servers, clocks, cards and services that fail",
        commands: || vec![cargo(&["xtask", "vm"])],
    },
];
