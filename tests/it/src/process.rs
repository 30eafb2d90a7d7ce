//! A real `linnetd` process: built once, started on free loopback ports, stopped at the end.

use std::io::{BufRead as _, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use serde_json::Value;
use tungstenite::http::Request;
use tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tungstenite::protocol::WebSocketConfig;

use crate::http::{self, Answer};
use crate::quic::Quic;
use crate::session::{Door, Session};
use crate::tls::{self, TlsStream};
use crate::{PATIENCE, person::Person};

/// Lines of the server's output that are kept for a failing test.
const LINES_MAX: usize = 2_000;

/// A running server and where to reach it.
pub struct Linnetd {
    child: Child,
    /// Its data folder.
    pub data: PathBuf,
    /// HTTPS and WebSocket.
    pub https: SocketAddr,
    /// Native protocol.
    pub native: SocketAddr,
    /// Plain HTTP.
    pub http: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Linnetd {
    /// Starts on a data folder and waits until it answers.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// As `start`, with further arguments.
    pub fn start_with(data: &Path, arguments: &[&str]) -> Self {
        Self::start_by(Command::new(binary()), data, arguments)
    }

    /// As `start_with`, through a command that runs the program (a namespace, a limit).
    pub fn start_by(command: Command, data: &Path, arguments: &[&str]) -> Self {
        let mut server = Self::spawn(command, data, arguments);
        server.wait_ready();
        server
    }

    /// Starts through a command that gives the program a root of its own, where `data` lies.
    pub fn start_inside(command: Command, data: &Path) -> Self {
        let mut server = Self::spawn(command, data, &[]);
        let inside = data.strip_prefix("/").expect("an absolute path");
        server.data = Path::new("/proc").join(server.pid().to_string()).join("root").join(inside);
        server.wait_ready();
        server
    }

    /// Starts one that can't use its data folder's keys and makes others below `temporary`. What
    /// it trusts from then on is there.
    pub fn start_with_own_keys(data: &Path, arguments: &[&str], temporary: &Path) -> Self {
        let mut command = Command::new(binary());
        command.env("TMPDIR", temporary);
        let mut server = Self::spawn(command, data, arguments);
        let deadline = Instant::now() + PATIENCE;
        server.data = loop {
            if let Some(status) = server.child.try_wait().expect("it is our child") {
                panic!("linnetd ended with {status}:\n{}", server.log());
            }
            let entries = std::fs::read_dir(temporary).expect("the folder is there");
            let mut entries = entries.map(|entry| entry.expect("an entry").path());
            if let Some(keys) = entries.find(|path| path.join("tls/ca.crt").exists()) {
                break keys;
            }
            assert!(Instant::now() < deadline, "linnetd makes no keys:\n{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        };
        server.wait_ready();
        server
    }

    fn spawn(mut command: Command, data: &Path, arguments: &[&str]) -> Self {
        let [https, native, http] = free_ports();
        command
            .process_group(0)
            .arg("--data")
            .arg(data)
            .args(["--listen", &https.to_string()])
            .args(["--listen-native", &native.to_string()])
            .args(["--listen-http", &http.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("linnetd was built");
        let lines = Arc::new(Mutex::new(Vec::new()));
        keep_lines(child.stdout.take().expect("it is piped"), &lines);
        keep_lines(child.stderr.take().expect("it is piped"), &lines);
        Self { child, data: data.to_owned(), https, native, http, lines }
    }

    fn wait_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                panic!("linnetd ended with {status}:\n{}", self.log());
            }
            let ready = self.data.join("tls/ca.crt").exists()
                && self.try_request("GET", "/api/facts", &[], None).is_ok();
            if ready {
                return;
            }
            assert!(Instant::now() < deadline, "linnetd does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it answers and is out of rescue, as after a restart of its own.
    pub fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        let ready = || {
            let facts = self.try_request("GET", "/api/facts", &[], None);
            facts.is_ok_and(|facts| facts.status == 200 && facts.json()["rescue"].is_null())
        };
        while !ready() {
            assert!(Instant::now() < deadline, "linnetd does not come back:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it printed so far, both streams.
    pub fn log(&self) -> String {
        self.lines.lock().expect("no reader panics").join("\n")
    }

    /// Waits until a printed line contains `text` and returns the line.
    pub fn wait_line(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let lines = self.lines.lock().expect("no reader panics");
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            drop(lines);
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("linnetd never printed {text:?}:\n{}", self.log());
    }

    /// Where it speaks QUIC, when `--listen-quic` was among its arguments.
    pub fn quic(&self) -> SocketAddr {
        let line = self.wait_line("quic=");
        let (_, address) = line.split_once("quic=").expect("the line was found by it");
        let address = address.split_whitespace().next().unwrap_or_default();
        address.parse().unwrap_or_else(|_| panic!("no address: {line}"))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB.
    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the process is alive");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.and_then(|line| line.trim().strip_suffix(" kB"));
        text.and_then(|text| text.trim().parse().ok()).expect("the kernel states VmRSS in kB")
    }

    /// SIGKILL: nothing is flushed.
    pub fn kill(mut self) -> PathBuf {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
        self.data.clone()
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is our child");
        self.wait_end()
    }

    /// Waits until it ends by itself.
    pub fn wait_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "linnetd does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What trusts this server; with the ALPN protocols, if any.
    pub fn tls(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        tls::config(&self.data, alpn)
    }

    /// A TLS connection to the HTTPS port.
    pub fn connect_https(&self) -> std::io::Result<TlsStream> {
        tls::connect(&self.tls(&[]), self.https)
    }

    /// One request to the REST interface.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> std::io::Result<Answer> {
        let request = http::request(method, path, &self.https.to_string(), headers, body);
        http::exchange(self.connect_https()?, &request)
    }

    /// As `try_request`, for servers that must answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// The claim token that an unclaimed server prints in its link.
    pub fn claim_token(&self) -> String {
        let line = self.wait_line("#claim=");
        let (_, token) = line.split_once("#claim=").expect("the line was found by it");
        token.split_whitespace().next().unwrap_or_default().to_owned()
    }

    /// Claims the box for a first owner.
    pub fn claim(&self, name: &str) -> Person {
        let body = serde_json::json!({
            "token": self.claim_token(), "name": name,
            "password": Person::password_of(name), "device": "test",
        });
        let answer = self.request("POST", "/api/claim", &[], Some(&body));
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.log());
        Person::from_answer(name, &answer.json())
    }

    /// A session through one of the doors, before its `hello`; the greeting is still to be read.
    pub fn open(&self, door: Door) -> Session {
        match door {
            Door::Native => {
                let stream = tls::connect(&self.tls(&[b"linnet"]), self.native);
                Session::native(stream.unwrap_or_else(|error| panic!("{error}\n{}", self.log())))
            }
            Door::Quic => {
                let quic = Quic::connect(&self.tls(&[b"linnet"]), self.quic());
                let quic = quic.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
                Session::over_quic(quic.stream().expect("the server opens a stream"))
            }
            Door::Json => self.open_ws("linnet.json", door),
            Door::Binary => self.open_ws("linnet.binary", door),
        }
    }

    /// A greeted session on the native port; none when the server has no place for it.
    pub fn try_open_native(&self) -> Option<Session> {
        let stream = tls::connect(&self.tls(&[b"linnet"]), self.native).ok()?;
        let mut session = Session::native(stream);
        session.receive().ok().map(|_| session)
    }

    fn open_ws(&self, protocol: &str, door: Door) -> Session {
        let stream = self.connect_https().expect("the HTTPS port answers");
        let address = self.https;
        let request = Request::builder()
            .uri(format!("wss://{address}/ws"))
            .header("Host", address.to_string())
            .header("Origin", format!("https://{address}"))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header(SEC_WEBSOCKET_PROTOCOL, protocol)
            .body(())
            .expect("the request is well-formed");
        let config = WebSocketConfig::default().max_write_buffer_size(usize::MAX);
        let opened = tungstenite::client::client_with_config(request, stream, Some(config));
        let (socket, _) =
            opened.unwrap_or_else(|error| panic!("the upgrade failed: {error}\n{}", self.log()));
        Session::websocket(socket, door)
    }
}

impl Drop for Linnetd {
    fn drop(&mut self) {
        // Already ended is fine. The whole group, as a wrapper may run the server as its child; no
        // test may leave a server behind.
        if let Ok(None) = self.child.try_wait() {
            let group = rustix::process::Pid::from_child(&self.child);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- linnetd's output ---\n{}", self.log());
        }
    }
}

/// Runs a one-off job of linnetd to its end: its status and everything it printed.
pub fn run(arguments: &[&str]) -> (ExitStatus, String) {
    let output = Command::new(binary())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("linnetd was built");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status, text)
}

/// Path of linnetd, built beside this test: `LINNETD` names another one.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("LINNETD") {
        Some(path) => path.into(),
        None => build("linnetd"),
    })
}

/// Builds a program of the workspace beside this test; its path.
pub fn build(package: &str) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", package]);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let test = std::env::current_exe().expect("a test knows its path");
    let folder = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/test");
    if folder.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs").success(), "{package} does not build");
    folder.join(package)
}

fn keep_lines(stream: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut lines = lines.lock().expect("no holder panics");
            if lines.len() < LINES_MAX {
                lines.push(line);
            }
        }
    });
}

/// Three ports that were free a moment ago, each different.
fn free_ports() -> [SocketAddr; 3] {
    let listeners =
        [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}
