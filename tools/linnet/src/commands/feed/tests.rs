//! The feed against a scripted box on real TLS: breaks at the worst moments, nothing lost or
//! doubled.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wire::binary::{read_client, write_server};
use wire::ids::{BoxId, Counter, DeviceId, DeviceToken, Epoch, Offset, TimeMs};
use wire::server::{Ack, CaughtUp, Closing, Greeting, Reason, SyncMode, Welcome};

use super::*;

const BOX: BoxId = BoxId([3; 16]);
const ROOM: RoomId = RoomId(1);

/// What the box does with the commands of one connection.
#[derive(Clone, Copy)]
enum Act {
    /// Accepts so many, acks none of them, and breaks off.
    AcceptAndBreak(u64),
    /// Says goodbye at the first one.
    SayGoodbye,
    /// Answers the first one with `busy`, then everything as it should.
    BusyOnce,
    /// Acks everything.
    Serve,
}

/// The texts in the order in which the box accepted them; their counters are 1, 2, 3 and so on.
type Accepted = Arc<Mutex<Vec<String>>>;

struct ScriptedBox {
    address: SocketAddr,
    ca_der: Vec<u8>,
    accepted: Accepted,
    /// Ends with the script; how many connections said hello.
    script: tokio::task::JoinHandle<u32>,
}

impl ScriptedBox {
    async fn start(acts: Vec<Act>) -> Self {
        let (config, ca_der) = certificate();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Accepted::default();
        let stored = Arc::clone(&accepted);
        let script = tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(config);
            let mut hellos = 0;
            for act in acts {
                let (socket, _) = listener.accept().await.unwrap();
                let stream = acceptor.accept(socket).await.unwrap();
                // A broken connection is part of the script.
                let _ = serve(stream, act, &stored, &mut hellos).await;
            }
            hellos
        });
        Self { address, ca_der, accepted, script }
    }

    fn profile(&self) -> Profile {
        Profile {
            box_id: BOX,
            host: self.address.to_string().parse().unwrap(),
            ca: Profile::encode_ca(&self.ca_der),
            name: "ada".to_owned(),
            user: UserId(1),
            device: DeviceId(1),
            token: DeviceToken([1; 32]),
        }
    }
}

fn certificate() -> (Arc<rustls::ServerConfig>, Vec<u8>) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_key = KeyPair::generate().unwrap();
    let ca_der = ca.self_signed(&ca_key).unwrap().der().clone();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap().der().clone();
    let chain = vec![leaf, ca_der.clone()];
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"linnet".to_vec()];
    (Arc::new(config), ca_der.to_vec())
}

async fn say(stream: &mut TlsStream<TcpStream>, message: ServerMessage) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    write_server(&message, 0, &mut bytes);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn hear(
    stream: &mut TlsStream<TcpStream>,
    input: &mut Vec<u8>,
) -> std::io::Result<ClientMessage> {
    loop {
        if let Some((frame, used)) = read_client(input).unwrap() {
            input.drain(..used);
            return Ok(frame.message.unwrap());
        }
        if stream.read_buf(input).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn greeting() -> ServerMessage {
    ServerMessage::Greeting(Greeting {
        box_id: BOX,
        epoch: Epoch([4; 16]),
        version: "test".to_owned(),
        time_ms: TimeMs(0),
    })
}

fn welcome(last: u64) -> ServerMessage {
    ServerMessage::Welcome(Welcome {
        user: UserId(1),
        device: DeviceId(1),
        last_counter: Counter(last),
        sync: SyncMode::Reset,
        head: Offset(0),
    })
}

fn ack(counter: Counter) -> ServerMessage {
    ServerMessage::Ack(Ack {
        counter,
        offset: Offset(counter.0),
        room: ROOM,
        seq: Seq(counter.0),
        time_ms: TimeMs(0),
    })
}

fn busy() -> ServerMessage {
    ServerMessage::Error(wire::server::Error {
        reason: Reason::Busy,
        field: String::new(),
        text: "later".to_owned(),
        retry_after_ms: Some(20),
        expected: None,
    })
}

fn goodbye() -> ServerMessage {
    ServerMessage::Closing(Closing {
        reason: Reason::ShuttingDown,
        text: "restarting".to_owned(),
        retry_after_ms: Some(20),
    })
}

async fn serve(
    mut stream: TlsStream<TcpStream>,
    act: Act,
    stored: &Accepted,
    hellos: &mut u32,
) -> std::io::Result<()> {
    let mut input = Vec::new();
    say(&mut stream, greeting()).await?;
    assert!(matches!(hear(&mut stream, &mut input).await?, ClientMessage::Hello(_)));
    *hellos += 1;
    let last = u64::try_from(stored.lock().unwrap().len()).unwrap();
    say(&mut stream, welcome(last)).await?;
    say(&mut stream, ServerMessage::CaughtUp(CaughtUp { cursor: Offset(0) })).await?;
    let mut was_busy = false;
    loop {
        let ClientMessage::Send(body) = hear(&mut stream, &mut input).await? else {
            continue;
        };
        match act {
            Act::SayGoodbye => return say(&mut stream, goodbye()).await,
            Act::BusyOnce if !was_busy => {
                was_busy = true;
                say(&mut stream, busy()).await?;
            }
            Act::AcceptAndBreak(most) => {
                accept(stored, body.counter, body.text);
                if u64::try_from(stored.lock().unwrap().len()).unwrap() >= most {
                    return Ok(());
                }
            }
            Act::BusyOnce | Act::Serve => {
                // After `busy` the later numbers of the same burst are gaps, as on a real box.
                if accept(stored, body.counter, body.text) {
                    say(&mut stream, ack(body.counter)).await?;
                }
            }
        }
    }
}

/// Takes a command as the core does: the next number, or the same content again.
fn accept(stored: &Accepted, counter: Counter, text: String) -> bool {
    let mut stored = stored.lock().unwrap();
    let index = usize::try_from(counter.0).unwrap() - 1;
    match stored.get(index) {
        Some(before) => {
            assert_eq!(*before, text, "number {counter} was used for two commands");
            true
        }
        None if stored.len() == index => {
            stored.push(text);
            true
        }
        None => false,
    }
}

fn text(number: usize) -> String {
    format!("message {number}")
}

fn put(feed: &mut Feed<'_>, number: usize) {
    let (room, text) = (ROOM, text(number));
    feed.push(Command::Send { room, text }).unwrap();
}

async fn drain(feed: &mut Feed<'_>) {
    let ended = timeout(Duration::from_secs(20), async {
        while feed.unsettled() > 0 {
            feed.pump().await.unwrap();
            feed.next().await.unwrap();
        }
    });
    ended.await.expect("everything is settled in time");
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

#[test]
fn lost_acks_goodbyes_and_busy_answers_lose_and_double_nothing() {
    run(async {
        let acts = vec![Act::AcceptAndBreak(3), Act::SayGoodbye, Act::BusyOnce];
        let scripted = ScriptedBox::start(acts).await;
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles::in_folder(folder.path());
        let profile = scripted.profile();
        let mut feed = Feed::sending(&profiles, &profile).await.unwrap();
        feed.caught_up().await.unwrap();
        for number in 0..10 {
            put(&mut feed, number);
        }
        drain(&mut feed).await;
        let expected: Vec<String> = (0..10).map(text).collect();
        assert_eq!(*scripted.accepted.lock().unwrap(), expected);
    });
}

#[test]
fn a_run_that_was_killed_is_finished_by_the_next_one() {
    run(async {
        let scripted = ScriptedBox::start(vec![Act::AcceptAndBreak(2), Act::Serve]).await;
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles::in_folder(folder.path());
        let profile = scripted.profile();
        let mut killed = Feed::sending(&profiles, &profile).await.unwrap();
        killed.caught_up().await.unwrap();
        for number in 0..4 {
            put(&mut killed, number);
        }
        killed.pump().await.unwrap();
        while !matches!(killed.next().await.unwrap(), Event::Broken(..)) {}
        drop(killed);

        let mut next = Feed::sending(&profiles, &profile).await.unwrap();
        assert_eq!(next.unsettled(), 4);
        put(&mut next, 4);
        drain(&mut next).await;
        let expected: Vec<String> = (0..5).map(text).collect();
        assert_eq!(*scripted.accepted.lock().unwrap(), expected);
    });
}

#[test]
fn another_box_never_sees_the_token() {
    run(async {
        let scripted = ScriptedBox::start(vec![Act::Serve]).await;
        let mut profile = scripted.profile();
        profile.box_id = BoxId([9; 16]);
        let error = Feed::reading(&profile).await.err().expect("another box is refused");
        let cause = error.downcast_ref::<ClientError>();
        assert!(matches!(cause, Some(ClientError::NotTheBox(_))), "{error}");
        assert_eq!(scripted.script.await.unwrap(), 0);
    });
}
