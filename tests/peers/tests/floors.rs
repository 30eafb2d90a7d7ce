//! Every floor passes every frame on, loaded by the same generator as everything else.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// A floor that ends with the test, whatever comes of it.
struct Floor {
    process: Child,
    address: String,
}

impl Floor {
    fn start(mode: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_linnet-floor"))
            .args([mode, "--listen", "127.0.0.1:0", "--seconds-max", "30"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, address }
    }

    fn load(&self, mode: &str, scenario: &[&str]) -> serde_json::Value {
        let output = Command::new(env!("CARGO_BIN_EXE_linnet-bench"))
            .args(["load", "--json", "--seconds-max", "20", "--protocol", mode])
            .args(["--connect", &self.address])
            .args(["--server-pid", &self.process.id().to_string()])
            .args(scenario)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{mode}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn broadcasting_floors_reach_every_member() {
    for mode in ["uring-broadcast", "epoll-broadcast", "blocking-send"] {
        let floor = Floor::start(mode);
        let scenario = ["fanout", "--members", "30", "--in-flight", "5", "--messages", "40"];
        let report = floor.load(mode, &scenario);
        assert_eq!(report["deliveries"], 30 * 40, "{mode}");
        assert!(report["per"]["cpu_us_per_delivery"].as_f64().unwrap() > 0.0, "{mode}");
    }
}

#[test]
fn pairing_floors_reach_the_other_half() {
    for mode in ["uring-pairs", "epoll-pairs"] {
        let floor = Floor::start(mode);
        let report = floor.load(mode, &["pairs", "--pairs", "8", "--messages", "200"]);
        assert_eq!(report["deliveries"], 200, "{mode}");
    }
}
