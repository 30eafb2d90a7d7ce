//! One run of the generator against one server, whatever its protocol.

use std::path::PathBuf;

use anyhow::Result;
use load::{Dialect, Layout, Linnet, Options, Scenario, Transport};

use crate::dialects::{Floor, Mqtt, Nats, Rooms, WebSocket, Xmpp};
use crate::floor::Mode;

/// The command line of one run.
#[derive(clap::Args, Clone, Debug)]
pub struct LoadLine {
    #[command(flatten)]
    options: Options,

    /// What the server speaks.
    #[arg(long, value_enum, global = true, default_value = "linnet-plain")]
    protocol: Protocol,

    /// What Linnet's data folder was seeded with; servers without accounts need none.
    #[arg(long, value_name = "FILE", global = true)]
    layout: Option<PathBuf>,

    #[command(subcommand)]
    scenario: Scenario,
}

/// Sessions of a synthetic layout, for servers without accounts.
const SYNTHETIC_SESSIONS: u32 = 20_000;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// Linnet's frames on TCP.
    LinnetPlain,
    /// Linnet's frames in TLS.
    LinnetTls,
    /// Linnet's frames in a WebSocket.
    LinnetWs,
    /// Linnet's frames in a WebSocket in TLS.
    LinnetWss,
    /// The ring floor, to all.
    UringBroadcast,
    /// The ring floor, in pairs.
    UringPairs,
    /// The epoll floor, to all.
    EpollBroadcast,
    /// The epoll floor, in pairs.
    EpollPairs,
    /// The plain loop of sends.
    BlockingSend,
    /// MQTT without acknowledgements.
    Mqtt,
    /// MQTT, QoS 1 from the sender to the broker.
    MqttQos1,
    /// NATS.
    Nats,
    /// NATS, messages to a file stream.
    Jetstream,
    /// XMPP.
    Xmpp,
    /// Text over WebSocket.
    Websocket,
}

impl Protocol {
    fn dialect(self, scenario: &Scenario, layout: &Layout, options: &Options) -> Box<dyn Dialect> {
        let payload = options.payload_bytes.unwrap_or(scenario.payload_bytes());
        let (host, fresh) = (options.connect.to_string(), scenario.syncs_afresh());
        let rooms = Rooms::of(scenario, layout);
        let linnet = |transport| Box::new(Linnet::new(transport, payload, host, fresh));
        let floor = |mode| Box::new(Floor::new(mode, payload));
        match self {
            Self::LinnetPlain => linnet(Transport::Plain),
            Self::LinnetTls => linnet(Transport::Tls),
            Self::LinnetWs => linnet(Transport::Ws),
            Self::LinnetWss => linnet(Transport::Wss),
            Self::UringBroadcast => floor(Mode::UringBroadcast),
            Self::UringPairs => floor(Mode::UringPairs),
            Self::EpollBroadcast => floor(Mode::EpollBroadcast),
            Self::EpollPairs => floor(Mode::EpollPairs),
            Self::BlockingSend => floor(Mode::BlockingSend),
            Self::Mqtt => Box::new(Mqtt::new(rooms, payload, false)),
            Self::MqttQos1 => Box::new(Mqtt::new(rooms, payload, true)),
            Self::Nats => Box::new(Nats::new(rooms, payload, false)),
            Self::Jetstream => Box::new(Nats::new(rooms, payload, true)),
            Self::Xmpp => Box::new(Xmpp::new(rooms, payload)),
            Self::Websocket => Box::new(WebSocket::new(rooms, payload)),
        }
    }
}

/// Runs and prints; whether nothing was lost.
///
/// # Errors
/// What the generator says.
pub fn run(line: &LoadLine) -> Result<bool> {
    let LoadLine { options, protocol, scenario, .. } = line;
    let layout = match &line.layout {
        Some(file) => Layout::read(file)?,
        None => Layout::synthetic(SYNTHETIC_SESSIONS),
    };
    let dialect = protocol.dialect(scenario, &layout, options);
    let report = load::run(scenario, dialect.as_ref(), &layout, options)?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(report.is_sound())
}
