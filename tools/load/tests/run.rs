//! Whole runs against a toy server in this process: what the generator counts is what happened.
//!
//! The toy's protocol is lines. A client says `hi`, hears `ready`; posts `ROOM STAMP`, hears `ack`
//! and, like everybody else who is connected, `ROOM STAMP`. The server can be told to misbehave.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use linnet_load::{Broken, Dialect, Event, Layout, Options, Report, Scenario, Session, Stamp, run};

/// How the toy server answers posts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Every hundredth message reaches one member twice.
    Stutters,
    /// Every hundredth message does not reach one member.
    Forgets,
    /// Every hundredth message ends the author's connection.
    HangsUp,
}

#[derive(Clone)]
struct Toy {
    manner: Manner,
    members: Arc<Mutex<Vec<TcpStream>>>,
    posts: Arc<Mutex<u32>>,
}

impl Toy {
    fn start(manner: Manner) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let toy = Self { manner, members: Arc::default(), posts: Arc::default() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (toy, stream) = (toy.clone(), stream.unwrap());
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || toy.serve(stream));
            }
        });
        address
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        for line in BufReader::new(stream.try_clone().unwrap()).lines() {
            let line = line.ok()?;
            if line == "hi" {
                let mut members = self.members.lock().unwrap();
                members.push(stream.try_clone().unwrap());
                (&stream).write_all(b"ready\n").ok()?;
            } else {
                self.post(&stream, &line)?;
            }
        }
        None
    }

    fn post(&self, mut author: &TcpStream, line: &str) -> Option<()> {
        let mut posts = self.posts.lock().unwrap();
        *posts += 1;
        let misbehaves = posts.is_multiple_of(100);
        if misbehaves && self.manner == Manner::HangsUp {
            author.shutdown(std::net::Shutdown::Both).ok()?;
            return None;
        }
        author.write_all(b"ack\n").ok()?;
        for (place, mut member) in self.members.lock().unwrap().iter().enumerate() {
            let copies = match self.manner {
                Manner::Stutters if misbehaves && place == 0 => 2,
                Manner::Forgets if misbehaves && place == 0 => 0,
                _ => 1,
            };
            for _ in 0..copies {
                // A member that is gone hears nothing.
                let _ = member.write_all(format!("{line}\n").as_bytes());
            }
        }
        Some(())
    }
}

struct Lines;

#[derive(Default)]
struct LineSession {
    input: Vec<u8>,
}

impl Dialect for Lines {
    fn session(&self, _index: u32) -> Box<dyn Session> {
        Box::<LineSession>::default()
    }

    fn name(&self) -> String {
        "toy".to_owned()
    }

    fn acks(&self) -> bool {
        true
    }
}

impl Session for LineSession {
    fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"hi\n");
    }

    fn receive(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        self.input.extend_from_slice(input);
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            events.push(match line.as_slice() {
                b"ready\n" => Event::Ready,
                b"ack\n" => Event::Acked { stamp: None },
                _ => {
                    let stamp = Stamp::read(&line[2..]).ok_or(Broken("no stamp".to_owned()))?;
                    Event::Delivered { room: 0, stamp }
                }
            });
        }
        Ok(())
    }

    fn publish(&mut self, _room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("0 {}\n", stamp.text(32)).as_bytes());
    }
}

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    scenario: Scenario,
}

fn report(manner: Manner, seconds_max: &str, arguments: &str) -> Report {
    let address = Toy::start(manner).to_string();
    let own = std::process::id().to_string();
    let fixed = ["load", "--connect", &address, "--seconds-max", seconds_max, "--server-pid", &own];
    let line = Line::parse_from(fixed.into_iter().chain(arguments.split(' ')));
    run(&line.scenario, &Lines, &Layout::synthetic(50), &line.options).unwrap()
}

const FANOUT: &str = "fanout --members 10 --messages 150";

#[test]
fn an_honest_server_loses_nothing() {
    let report = report(Manner::Honest, "60", FANOUT);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.sessions, report.messages), (10, 150));
    assert_eq!((report.deliveries, report.acks), (1_500, 150));
    assert_eq!(report.delivery_us.unwrap().count, 1_500);
    assert!(report.server.unwrap().cpu_us > 0.0);
    assert!(report.per.unwrap().cpu_us_per_delivery.unwrap() > 0.0);
}

#[test]
fn a_second_copy_is_found() {
    let report = report(Manner::Stutters, "60", FANOUT);
    assert_eq!((report.duplicates, report.lost, report.broken), (1, 0, 0));
    assert!(!report.is_sound());
}

#[test]
fn a_forgotten_member_is_found() {
    let report = report(Manner::Forgets, "3", "fanout --members 10 --messages 150 --rate 1000");
    assert_eq!((report.lost, report.duplicates, report.timed_out), (1, 0, true));
}

#[test]
fn a_connection_that_ends_is_found() {
    let report = report(Manner::HangsUp, "60", FANOUT);
    assert_eq!((report.broken, report.timed_out), (1, false));
    assert_eq!(report.reasons.len(), 1);
}

#[test]
fn an_open_loop_keeps_its_pace_and_counts_from_when_messages_were_due() {
    let report = report(Manner::Honest, "60", "fanout --members 5 --messages 200 --rate 400");
    assert!(report.is_sound(), "{report:?}");
    assert!((0.49..60.0).contains(&report.seconds), "{}", report.seconds);
}

#[test]
fn a_storm_comes_back_and_has_missed_nothing_that_the_server_kept() {
    // The toy keeps nothing, so with nothing missed everybody only comes back.
    let report = report(Manner::Honest, "60", "storm --sessions 20 --missed 0");
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.sessions, report.ready_us.unwrap().count), (20, 20));
}

#[test]
fn a_time_ends_a_closed_loop_and_nothing_is_lost() {
    let report = report(Manner::Honest, "60", "lone --messages 100000000 --seconds 1");
    assert!(report.is_sound(), "{report:?}");
    assert!(report.acks > 0 && report.acks == report.messages, "{report:?}");
    assert!((1.0..30.0).contains(&report.seconds), "{}", report.seconds);
}
