//! Under init: linnetd takes the claim offer, reports health with the boot's nonce, tells that a
//! claim is spent, and ends when init says so.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Instant;

use linnet_it::PATIENCE;
use linnet_it::person::Person;
use linnet_it::process::{Linnetd, run};
use serde_json::json;
use update::claim::{ClaimToken, ProvisioningId};
use update::control::{
    self, BoardHealth, BoxFacts, ClaimOffer, FromInit, Health, Network, Setting, Status, ToInit,
    VERSION, Welcome,
};
use update::slots::SlotState;

/// The other end of the socket.
struct Init {
    stream: UnixStream,
}

impl Init {
    /// Takes linnetd's connection and welcomes it.
    fn accept(listener: &UnixListener, welcome: Welcome) -> Self {
        let (mut stream, _) = listener.accept().expect("linnetd connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let hello = control::read_frame::<ToInit>(&mut stream).expect("a frame");
        assert!(matches!(hello, Some(ToInit::Hello { version: VERSION, .. })), "{hello:?}");
        let welcome = FromInit::Welcome(Box::new(welcome));
        control::write_frame(&mut stream, &welcome).expect("linnetd reads");
        Self { stream }
    }

    fn wait_for<T>(&mut self, what: &str, wanted: impl Fn(&ToInit) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let frame = control::read_frame::<ToInit>(&mut self.stream).expect("a frame");
            let frame = frame.expect("linnetd stays");
            if let Some(value) = wanted(&frame) {
                return value;
            }
        }
        panic!("linnetd never said {what}");
    }

    /// The first health report that is not about the start.
    fn health(&mut self) -> Health {
        self.wait_for("health", |frame| match frame {
            ToInit::Health(health) if health.detail != "the box reads its log" => {
                Some(health.clone())
            }
            _ => None,
        })
    }
}

fn welcome(token: &ClaimToken, id: ProvisioningId, rescue: Option<String>) -> Welcome {
    Welcome {
        version: VERSION,
        claim: ClaimOffer::Provisioned { id, hash: token.hash() },
        host_name: "linnet".into(),
        boot_nonce: Some("nonce-4711".into()),
        rescue,
        facts: BoxFacts {
            board: "test".into(),
            release: "0".into(),
            kernel: "6.12".into(),
            memory_bytes: 1 << 30,
            slot: None,
        },
        network: Network::default(),
        complaints: Vec::new(),
    }
}

/// Starts linnetd below a made-up init.
fn start(folder: &Path, welcome: Welcome) -> (Linnetd, Init) {
    start_by(folder, welcome, Linnetd::start_with)
}

/// As `start`, for one that can't use the keys in its data folder.
fn start_with_own_keys(folder: &Path, welcome: Welcome) -> (Linnetd, Init) {
    let temporary = folder.join("temporary");
    std::fs::create_dir(&temporary).expect("the folder is writable");
    start_by(folder, welcome, |data, control| {
        Linnetd::start_with_own_keys(data, control, &temporary)
    })
}

fn start_by(
    folder: &Path,
    welcome: Welcome,
    start: impl FnOnce(&Path, &[&str]) -> Linnetd,
) -> (Linnetd, Init) {
    let socket = folder.join("init.sock");
    let listener = UnixListener::bind(&socket).expect("the folder is writable");
    let accepting = std::thread::spawn(move || Init::accept(&listener, welcome));
    let socket = socket.to_str().expect("UTF-8");
    let server = start(&folder.join("data"), &["--control", socket]);
    (server, accepting.join().expect("linnetd says hello"))
}

#[test]
fn a_provisioned_box_is_claimed_reported_and_shut_down_by_init() {
    let folder = tempfile::tempdir().unwrap();
    let token = ClaimToken::from_random([5; 16]);
    let id = ProvisioningId::from_random([6; 16]);
    let (mut server, mut init) = start(folder.path(), welcome(&token, id, None));
    let health = init.health();
    assert!(health.ok && !health.claimed, "{health:?}");
    assert_eq!(health.nonce.as_deref(), Some("nonce-4711"));
    let body = json!({
        "token": token.text(), "name": "ann", "password": Person::password_of("ann"),
        "device": "test",
    });
    let answer = server.request("POST", "/api/claim", &[], Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let spent = init.wait_for("that the claim is spent", |frame| match frame {
        ToInit::ClaimSpent { id } => Some(*id),
        _ => None,
    });
    assert_eq!(spent, id);
    init.wait_for("that it is claimed", |frame| match frame {
        ToInit::Health(health) if health.claimed => Some(()),
        _ => None,
    });
    control::write_frame(&mut init.stream, &FromInit::Shutdown { grace_ms: 5_000 }).unwrap();
    assert!(server.wait_end().success(), "{}", server.log());

    // An init that forgot (a power cut came first) is told again.
    std::fs::remove_file(folder.path().join("init.sock")).unwrap();
    let (_server, mut init) = start(folder.path(), welcome(&token, id, None));
    let again = init.wait_for("that the claim is spent", |frame| match frame {
        ToInit::ClaimSpent { id } => Some(*id),
        _ => None,
    });
    assert_eq!(again, id);
}

fn status() -> FromInit {
    FromInit::Status(Box::new(Status {
        uptime_ms: 77,
        slots: [SlotState::Good, SlotState::Good],
        boot: None,
        starts: 2,
        clock_set: false,
        clock: None,
        watchdog: true,
        network: Network::default(),
        host_name: "school".into(),
        time_zone: None,
        board: BoardHealth::default(),
        last_end: None,
        notes: vec!["The power supply is too weak.".into()],
    }))
}

#[test]
fn an_owner_s_orders_reach_init_and_its_words_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let token = ClaimToken::from_random([5; 16]);
    let id = ProvisioningId::from_random([6; 16]);
    let (server, mut init) = start(folder.path(), welcome(&token, id, None));
    let password = Person::password_of("ann");
    let body = json!({
        "token": token.text(), "name": "ann", "password": password, "device": "test",
    });
    let claimed = server.request("POST", "/api/claim", &[], Some(&body)).json();
    let bearer = format!("Bearer {}", claimed["token"].as_str().unwrap());
    let post = |path: &str, body: &serde_json::Value| {
        server.request("POST", path, &[("Authorization", &bearer)], Some(body))
    };
    // Init answers in its own thread, as the requests below wait for it.
    let answering = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let asked =
                init.wait_for("a request", |frame| frame.is_answered().then(|| frame.clone()));
            let answer = match &asked {
                ToInit::Status => status(),
                ToInit::Set(Setting::HostName(_)) => {
                    FromInit::Refused { reason: "That is no name.".into() }
                }
                _ => FromInit::Done,
            };
            control::write_frame(&mut init.stream, &answer).unwrap();
            if !matches!(asked, ToInit::ClaimSpent { .. }) {
                seen.push(asked);
            }
        }
        seen
    });
    let shown = server.request("GET", "/api/box", &[("Authorization", &bearer)], None).json();
    assert_eq!((&shown["host_name"], &shown["starts"]), (&json!("school"), &json!(2)));
    assert_eq!(shown["notes"], json!(["The power supply is too weak."]));
    let refused = post("/api/box/settings", &json!({"host_name": "A B"}));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("That is no name."), "{}", refused.text());
    assert_eq!(post("/api/box/time", &json!({"time_ms": 1_900_000_000_000_u64})).status, 200);
    let wrong = post("/api/box/factory-reset", &json!({"password": "not the password"}));
    assert_ne!(wrong.status, 200, "{}", wrong.text());
    let reset = post("/api/box/factory-reset", &json!({"password": password}));
    assert_eq!(reset.status, 200, "{}", reset.text());
    let seen = answering.join().unwrap();
    assert_eq!(
        seen,
        [
            ToInit::Status,
            ToInit::Set(Setting::HostName("A B".into())),
            ToInit::SetTime { unix_ms: 1_900_000_000_000 },
            ToInit::FactoryReset,
        ]
    );
}

#[test]
fn a_rescue_that_init_asks_for_is_served_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let token = ClaimToken::from_random([5; 16]);
    let id = ProvisioningId::from_random([6; 16]);
    let reason = "DATA is unreadable";
    let (server, mut init) = start(folder.path(), welcome(&token, id, Some(reason.into())));
    let health = init.health();
    assert!(!health.ok && health.detail == reason, "{health:?}");
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert_eq!(facts["rescue"], reason);
}

#[test]
fn a_damaged_authority_leads_to_the_rescue_page_and_a_backup_under_init_and_to_an_error_without() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Linnetd::start(&data);
    let ann = server.claim("ann");
    assert!(server.stop().success());
    std::fs::write(data.join("tls/ca.key"), "noise").unwrap();
    let (status, output) = run(&["--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert!(!status.success() && output.contains("ca.key"), "{output}");

    let id = ProvisioningId::from_random([6; 16]);
    let welcome = welcome(&ClaimToken::from_random([5; 16]), id, None);
    let (server, mut init) = start_with_own_keys(folder.path(), welcome);
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert!(facts["rescue"].as_str().is_some_and(|text| text.contains("ca.key")), "{facts}");
    let health = init.health();
    assert!(!health.ok && health.detail.contains("ca.key"), "{health:?}");
    let bearer = ann.bearer();
    let backup = server.request("GET", "/api/backup", &[("Authorization", &bearer)], None);
    assert!(backup.status == 200 && backup.body.starts_with(b"LinnetBk"), "{}", backup.text());
    control::write_frame(&mut init.stream, &FromInit::Shutdown { grace_ms: 5_000 }).unwrap();
    assert!({ server }.wait_end().success());
}

#[test]
fn a_data_folder_that_can_t_be_used_leads_to_the_rescue_page_under_init() {
    // A file where a folder belongs: it stands for a card that gives errors, also for root.
    for damaged in ["log", "index.redb"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        match damaged {
            "log" => std::fs::write(data.join(damaged), "noise").unwrap(),
            _ => std::fs::create_dir(data.join(damaged)).unwrap(),
        }
        let (status, output) = run(&["--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
        assert!(!status.success(), "{damaged}: {output}");
        let id = ProvisioningId::from_random([6; 16]);
        let welcome = welcome(&ClaimToken::from_random([5; 16]), id, None);
        let (server, mut init) = start(folder.path(), welcome);
        let facts = server.request("GET", "/api/facts", &[], None).json();
        let reason = facts["rescue"].as_str().unwrap_or_default();
        assert!(reason.contains("could not start"), "{damaged}: {facts}");
        assert!(!init.health().ok, "{damaged}");
    }
}

#[test]
fn a_card_of_a_newer_release_is_explained_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Linnetd::start(&data);
    server.claim("ann");
    assert!(server.stop().success());
    std::fs::write(data.join("format"), "2\n").unwrap();
    let contents = |name: &str| {
        let mut files: Vec<_> = std::fs::read_dir(data.join(name)).unwrap().flatten().collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        files.iter().map(|file| std::fs::read(file.path()).unwrap()).collect::<Vec<_>>()
    };
    let (log, index) = (contents("log"), std::fs::read(data.join("index.redb")).unwrap());
    let id = ProvisioningId::from_random([6; 16]);
    let welcome = welcome(&ClaimToken::from_random([5; 16]), id, None);
    let (server, mut init) = start(folder.path(), welcome);
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert!(facts["rescue"].as_str().is_some_and(|text| text.contains("newer Linnet")), "{facts}");
    assert!(!init.health().ok);
    control::write_frame(&mut init.stream, &FromInit::Shutdown { grace_ms: 5_000 }).unwrap();
    assert!({ server }.wait_end().success());
    assert_eq!((contents("log"), std::fs::read(data.join("index.redb")).unwrap()), (log, index));
}

#[test]
fn a_refused_io_uring_leads_to_the_rescue_page_under_init() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/without_io_uring.py"));
    command.arg(linnet_it::process::binary());
    let id = ProvisioningId::from_random([6; 16]);
    let welcome = welcome(&ClaimToken::from_random([5; 16]), id, None);
    let (server, mut init) =
        start_by(folder.path(), welcome, |data, control| Linnetd::start_by(command, data, control));
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert!(facts["rescue"].as_str().is_some_and(|text| text.contains("io_uring")), "{facts}");
    assert!(!init.health().ok);
}
