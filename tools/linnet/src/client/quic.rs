//! QUIC to a box: the same trust as TLS over TCP, one stream that the box opens because it speaks
//! first. A session survives a change of this computer's address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, IdleTimeout, RecvStream, SendStream,
    TransportConfig, VarInt,
};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::error::ClientError;
use super::host::Host;
use super::tls::{self, CONNECT_TIMEOUT, NAME_OF_EVERY_BOX, Trust};

/// Silence after which the box is asked for a sign of life; routers at home forget a UDP flow
/// after 30 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// Silence that ends the connection: three signs of life did not come.
const IDLE: Duration = Duration::from_secs(75);

/// TLS alerts that are about certificates (RFC 8446, 6.2) as QUIC's codes (RFC 9001, 4.8).
const CERTIFICATE_ALERTS: std::ops::RangeInclusive<u64> = 0x100 + 42..=0x100 + 48;

/// An established connection. Dropping it says goodbye.
pub(super) struct Link {
    connection: Connection,
    /// Holds the socket.
    _endpoint: Endpoint,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"goodbye");
    }
}

/// Connects to a UDP port of the box and waits for its stream.
pub(super) async fn connect(
    host: &Host,
    port: u16,
    trust: &Trust,
) -> Result<(Link, SendStream, RecvStream), ClientError> {
    let unreachable = |cause: &str| ClientError::Unreachable {
        host: format!("{host} over QUIC (UDP port {port})"),
        cause: cause.to_owned(),
    };
    let config = config(trust)?;
    let (name, _) = host.resolvable();
    let found = lookup_host((name, port)).await;
    let addresses = found.map_err(|error| unreachable(&error.to_string()))?;
    let mut last = unreachable("the name has no address");
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, reach(address, config.clone())).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => last = failed(host, &error, unreachable),
            Err(_) => last = unreachable("no answer in time"),
        }
        if !last.is_passing() {
            break;
        }
    }
    Err(last)
}

/// Why one address could not be connected to.
enum Failure {
    Here(std::io::Error),
    Refused(quinn::ConnectError),
    There(ConnectionError),
}

async fn reach(
    address: SocketAddr,
    config: ClientConfig,
) -> Result<(Link, SendStream, RecvStream), Failure> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = Endpoint::client(any).map_err(Failure::Here)?;
    let connecting = endpoint.connect_with(config, address, NAME_OF_EVERY_BOX);
    let connection = connecting.map_err(Failure::Refused)?.await.map_err(Failure::There)?;
    let (send, recv) = connection.accept_bi().await.map_err(Failure::There)?;
    Ok((Link { connection, _endpoint: endpoint }, send, recv))
}

fn config(trust: &Trust) -> Result<ClientConfig, ClientError> {
    let tls = tls::config(trust, b"linnet")?;
    let crypto = QuicClientConfig::try_from(tls)
        .map_err(|error| ClientError::Protocol(error.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    let idle = IdleTimeout::try_from(IDLE).expect("75 s are far below 2^62 ms");
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

fn failed(
    host: &Host,
    failure: &Failure,
    unreachable: impl Fn(&str) -> ClientError,
) -> ClientError {
    match failure {
        Failure::Here(error) => unreachable(&error.to_string()),
        Failure::Refused(error) => ClientError::Protocol(error.to_string()),
        Failure::There(ConnectionError::TransportError(error))
            if CERTIFICATE_ALERTS.contains(&u64::from(error.code)) =>
        {
            tls::not_the_box(host, &error.reason)
        }
        Failure::There(error) => unreachable(&error.to_string()),
    }
}
