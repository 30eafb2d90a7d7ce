//! `linnet bench` against a real server: its result is whole and it leaves no device behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use linnet_it::person::Person;
use linnet_it::process::{Linnetd, build};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Runs the tool to its end.
fn tool(home: &Path, arguments: &[&str], name: &str) -> Output {
    start(home, arguments, name).wait_with_output().expect("the tool ends")
}

/// Starts the tool with a password on its stdin.
fn start(home: &Path, arguments: &[&str], name: &str) -> Child {
    let mut command = Command::new(build("linnet"));
    command.env("XDG_CONFIG_HOME", home).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool was built");
    let mut stdin = child.stdin.take().expect("it is piped");
    // One that refuses before it reads has closed it.
    let _ = stdin.write_all(format!("{}\n", Person::password_of(name)).as_bytes());
    drop(stdin);
    child
}

fn sign_in(server: &Linnetd, home: &Path, name: &str) {
    let host = format!("localhost:{}", server.https.port());
    let words = server.wait_line("fingerprint: ");
    let (_, words) = words.split_once("fingerprint: ").expect("the line was found by it");
    let login = ["login", &host, "--name", name, "--password-stdin", "--words", words];
    let output = tool(home, &login, name);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn labels(server: &Linnetd, person: &Person) -> Vec<String> {
    let bearer = person.bearer();
    let answer = server.request("GET", "/api/devices", &[("Authorization", &bearer)], None);
    let devices = answer.json()["devices"].as_array().expect("a list").clone();
    devices.iter().map(|it| it["label"].as_str().expect("a label").to_owned()).collect()
}

#[test]
fn the_tool_measures_the_box_and_takes_its_devices_away() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    sign_in(&server, home.path(), "ann");
    let before = labels(&server, &ann);
    let bench = ["bench", "--seconds", "3", "--yes", "--json", "--password-stdin"];
    let output = tool(home.path(), &bench, "ann");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", server.log());
    assert!(told.contains("writes at most about"), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    println!("{text}");
    let number = |pointer: &str| {
        let value = result.pointer(pointer).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("no {pointer} in {text}"))
    };
    assert!((number("/sessions") - 32.0).abs() < 0.5, "{text}");
    for part in ["durable", "lone"] {
        let of = |key: &str| number(&format!("/{part}/{key}"));
        assert!(of("per_second") > 1.0 && of("messages") > 1.0, "{text}");
        let [p50, p99, max] = ["ack_us/p50", "ack_us/p99", "ack_us/max"].map(of);
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{text}");
    }
    assert!(number("/memory/most_bytes") >= number("/memory/before_bytes"), "{text}");
    assert!(number("/board/cores") >= 1.0 && number("/board/memory_bytes") > 1e6, "{text}");
    let port = server.https.port().to_string();
    let private = ["ann", "localhost", "127.0.0.1", port.as_str()];
    let strings = strings(&result).join("\n");
    assert!(private.iter().all(|it| !strings.contains(it)), "{strings}");
    assert_eq!(labels(&server, &ann), before);
}

#[test]
fn a_member_can_not_measure_and_a_wrong_password_leaves_nothing() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    sign_in(&server, home.path(), "ben");
    let before = labels(&server, &ben);
    let bench = ["bench", "--seconds", "3", "--yes", "--password-stdin"];
    let refused = tool(home.path(), &bench, "ben");
    assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
    assert_eq!(labels(&server, &ben), before);
    let home = tempfile::tempdir().unwrap();
    sign_in(&server, home.path(), "ann");
    let before = labels(&server, &ann);
    let wrong = tool(home.path(), &bench, "somebody else");
    assert_eq!(wrong.status.code(), Some(4), "{}", String::from_utf8_lossy(&wrong.stderr));
    assert_eq!(labels(&server, &ann), before);
}

#[test]
fn who_stops_it_keeps_no_device_either() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    sign_in(&server, home.path(), "ann");
    let before = labels(&server, &ann);
    let bench = ["bench", "--seconds", "60", "--yes", "--password-stdin"];
    let mut child = start(home.path(), &bench, "ann");
    let mut told = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    while !told.next().expect("it goes on").unwrap().starts_with("1 of 3") {}
    assert!(labels(&server, &ann).len() > before.len(), "nobody measures");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is our child");
    let rest: Vec<String> = told.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("stopped")), "{rest:?}");
    assert_eq!(labels(&server, &ann), before);
}

/// Every text in a value.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(all) => all.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}
