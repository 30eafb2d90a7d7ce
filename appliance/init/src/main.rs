//! pid 1 of the box: mounts, first boot, network, supervision, LED, watchdog, clock floor, and the
//! orderly end. One file per concern; what is decided is pure and tested, what is done is thin.
//! Started as `linnet-init net …` it is the network child instead, as `linnet-init guard …` the
//! step that takes a service's rights away before it starts.

#![deny(unsafe_code)]

mod board;
mod boot;
mod cgroup;
mod claim;
mod clock;
mod cmdline;
mod control;
mod data;
mod disk;
mod events;
mod evidence;
mod facts;
mod guard;
mod helper;
mod keeping;
mod ledloop;
mod limits;
mod logs;
mod memory;
mod modules;
mod mounts;
mod net;
mod orders;
mod partitions;
mod power;
mod progress;
mod rawdisk;
mod reset;
mod resize;
mod restart2;
mod run;
mod settings;
mod shell;
mod shutdown;
mod slotarea;
mod smallfile;
mod status;
mod storage;
mod supervise;
mod sysctl;
mod syslog;
mod watchdog;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "net" => network_child(rest),
        Some((first, rest)) if first == "syslog" => match syslog::run(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(usage) => {
                eprintln!("{usage}");
                ExitCode::FAILURE
            }
        },
        Some((first, rest)) if first == "guard" => {
            eprintln!("The service was not started: {}.", guard::run(rest));
            ExitCode::FAILURE
        }
        _ if std::process::id() == 1 => init(),
        _ => {
            eprintln!(
                "linnet-init is pid 1 of a Linnet box; there is nothing to run it for by hand."
            );
            ExitCode::FAILURE
        }
    }
}

fn network_child(arguments: &[String]) -> ExitCode {
    match net::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The network service ends: {error}.");
            ExitCode::FAILURE
        }
    }
}

/// Never returns while the kernel does as it is told: the end of pid 1 is a kernel panic.
fn init() -> ExitCode {
    let logs = logs::Logs::default();
    let booted = boot::boot(&logs);
    shell::start(&logs);
    let (ending, mut running) = run::run(booted, &logs);
    shutdown::end(ending, &mut running, &logs);
    loop {
        std::thread::park();
    }
}
