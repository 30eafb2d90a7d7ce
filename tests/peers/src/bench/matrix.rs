//! Which experiments there are.

use chat::limits::CHECKPOINT_RECORDS;

use super::experiment::Experiment;
use super::limits::IDLE_WARM_UP;
use super::loads::Measure;
use super::loads::Measure::{
    AckP99, AcksPerSecond, BusiestRing, BytesPerSession, CpuPerDelivery, CpuPerMessage,
    CpuPerSession, DeliveriesPerSecond, DeliveryP50, DeliveryP99, DeviceBytes, MessagesPerSecond,
};
use super::peers::Peer;
use super::target::{Disk, Door, Setup, Target};
use crate::floor::Mode;

const FANOUT: &[Measure] = &[CpuPerDelivery, DeliveriesPerSecond, DeliveryP50, DeliveryP99];
const PAIRS: &[Measure] = &[CpuPerMessage, MessagesPerSecond, DeliveryP50, DeliveryP99];
const IDLE: &[Measure] = &[BytesPerSession, CpuPerSession];
const DURABLE: &[Measure] = &[AcksPerSecond, CpuPerMessage, AckP99];

/// Repeats of an experiment in a quick and in a full run.
const QUICK: u32 = 3;
const FULL: u32 = 4;

/// Peers that pass messages on without keeping them.
const LIVE: [Peer; 5] = [Peer::Mosquitto, Peer::Nats, Peer::Bun, Peer::Ejabberd, Peer::Prosody];

/// Peers of sweeps: XMPP servers would take minutes for each point.
const SWEPT: [Peer; 3] = [Peer::Mosquitto, Peer::Nats, Peer::Bun];

fn experiment(name: &'static str, scenario: &str, measures: &'static [Measure]) -> Experiment {
    Experiment {
        name,
        x: None,
        targets: vec![Target::LINNET],
        scenario: scenario.split(' ').map(str::to_owned).collect(),
        setup: Setup::default(),
        repeats: QUICK,
        fresh: false,
        measures,
    }
}

impl Experiment {
    fn of(mut self, targets: impl IntoIterator<Item = Target>) -> Self {
        self.targets = targets.into_iter().collect();
        self
    }

    fn and(mut self, peers: &[Peer]) -> Self {
        self.targets.extend(peers.iter().map(|peer| Target::Peer(*peer)));
        self
    }

    const fn times(mut self, repeats: u32) -> Self {
        self.repeats = repeats;
        self
    }

    const fn at(mut self, what: &'static str, value: u32) -> Self {
        self.x = Some((what, value));
        self
    }

    const fn with(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    const fn afresh(mut self) -> Self {
        self.fresh = true;
        self
    }
}

fn floors(modes: &[Mode]) -> Vec<Target> {
    let floors = modes.iter().map(|mode| Target::Floor(*mode));
    std::iter::once(Target::LINNET).chain(floors).collect()
}

/// What the summary needs, in under three minutes: first what takes its time once, then what is
/// repeated as long as there is time.
pub(super) fn quick() -> Vec<Experiment> {
    let broadcast = floors(&[Mode::UringBroadcast, Mode::BlockingSend]);
    vec![
        idle(4_000, &[Target::LINNET, Target::linnet_by(Door::Wss)]).times(1),
        lone(1).times(1),
        slow("durable --messages 40000").times(1),
        paced("durable --messages 16000 --rate 2000").times(1),
        experiment("durable", "durable --messages 120000", DURABLE).times(2),
        experiment("rings", "fanout --messages 200", &[BusiestRing])
            .of([Target::linnet_on(1), Target::linnet_on(2)]),
        experiment("pairs", "pairs --messages 40000", PAIRS).of(floors(&[Mode::UringPairs])),
        experiment("loaded", "fanout --messages 300 --in-flight 10", FANOUT)
            .of(floors(&[Mode::UringBroadcast]))
            .times(5),
        experiment("fanout", "fanout --messages 200", FANOUT).of(broadcast).times(7),
    ]
}

fn idle(sessions: u32, targets: &[Target]) -> Experiment {
    let scenario = format!("idle --sessions {sessions} --warm-up {IDLE_WARM_UP}");
    let setup = Setup { users: sessions, ..Setup::default() };
    experiment("idle", &scenario, IDLE).of(targets.to_vec()).with(setup).afresh()
}

fn slow(scenario: &str) -> Experiment {
    experiment("durable-slow", scenario, DURABLE).of([Target::linnet_with(Disk::Slow)])
}

fn paced(scenario: &str) -> Experiment {
    experiment("ack-slow", scenario, DURABLE).of([Target::linnet_with(Disk::Slow)])
}

/// One message at a time, through so many checkpoints and a little more.
fn lone(checkpoints: u64) -> Experiment {
    let messages = checkpoints * CHECKPOINT_RECORDS + 200;
    let scenario = format!("lone --messages {messages}");
    experiment("lone", &scenario, &[DeviceBytes, AckP99]).of([Target::linnet_with(Disk::Counted)])
}

/// Everything, side by side with all peers.
pub(super) fn full() -> Vec<Experiment> {
    let broadcast = floors(&[Mode::UringBroadcast, Mode::EpollBroadcast, Mode::BlockingSend]);
    let pairs = floors(&[Mode::UringPairs, Mode::EpollPairs]);
    let streams = [Peer::MosquittoQos1, Peer::JetStream, Peer::JetStreamSync];
    let mut all = vec![
        experiment("fanout", "fanout --messages 400", FANOUT)
            .of(broadcast.clone())
            .and(&LIVE)
            .times(FULL),
        experiment("loaded", "fanout --messages 600 --in-flight 10", FANOUT)
            .of(broadcast)
            .and(&LIVE)
            .times(FULL),
        experiment("pairs", "pairs --messages 60000", PAIRS).of(pairs).and(&LIVE).times(FULL),
        experiment("rings", "fanout --messages 400", &[BusiestRing])
            .of([Target::linnet_on(1), Target::linnet_on(2)])
            .times(FULL),
        experiment("durable", "durable --messages 200000", DURABLE).and(&streams[..2]),
        experiment("durable-synced", "durable --messages 4000", DURABLE).and(&streams[2..]),
        slow("durable --messages 100000"),
        paced("durable --messages 40000 --rate 2000"),
        lone(2),
        experiment("batched", "durable --messages 100000", &[DeviceBytes])
            .of([Target::linnet_with(Disk::Counted)]),
    ];
    all.extend(comings());
    all.extend([(1_000, 1), (2_000, 1), (4_000, 2)].map(|(sessions, repeats)| {
        let ours = [Target::LINNET, Target::linnet_by(Door::Wss)];
        idle(sessions, &ours).and(&LIVE).at("sessions", sessions).times(repeats)
    }));
    all.extend([100, 300, 1_000, 3_000].map(members));
    all.extend([500, 1_000, 2_000, 4_000, 8_000, 16_000].map(rate));
    all
}

/// How people come, and one message that everybody reads.
fn comings() -> [Experiment; 4] {
    let secure = || [Target::linnet_by(Door::Wss)];
    let everybody = Setup { members: 4_000, ..Setup::default() };
    let storm = |name, scenario| {
        experiment(name, scenario, &[CpuPerSession]).of(secure()).with(everybody).afresh()
    };
    [
        experiment("login", "login", &[CpuPerSession]).and(&SWEPT),
        storm("storm-resumed", "storm --resume"),
        storm("storm-cold", "storm"),
        experiment("announce", "announce", &[CpuPerMessage, DeviceBytes, DeliveryP99])
            .of([Target::linnet_with(Disk::Counted)])
            .with(everybody),
    ]
}

/// Throughput by connections.
fn members(members: u32) -> Experiment {
    let messages = 300_000 / members;
    let scenario = format!("fanout --messages {messages} --in-flight 10 --members {members}");
    experiment("connections", &scenario, FANOUT)
        .of(floors(&[Mode::UringBroadcast]))
        .and(&SWEPT)
        .at("members", members)
        .times(2)
        .with(Setup { members, ..Setup::default() })
}

/// Latency by load.
fn rate(rate: u32) -> Experiment {
    let scenario = format!("pairs --messages {} --rate {rate}", rate * 3);
    experiment("load", &scenario, PAIRS)
        .of(floors(&[Mode::UringPairs]))
        .and(&SWEPT)
        .at("messages/s", rate)
        .times(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::LoadLine;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        _load: LoadLine,
    }

    #[test]
    fn the_generator_understands_every_experiment() {
        for experiment in quick().into_iter().chain(full()) {
            for target in &experiment.targets {
                let first = ["load", "--protocol", target.protocol()].map(str::to_owned);
                let line = Line::try_parse_from(first.iter().chain(&experiment.scenario));
                assert!(line.is_ok(), "{}", experiment.title());
            }
        }
    }
}
