//! quinn's settings: bounded memory, one stream that we open, signs of life for routers at home.

use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use ring_crypto::{digest, hmac};

use crate::config::QuicConfig;
use crate::error::StartError;
use crate::limits::{
    INCOMING_BYTES_ALL_MAX, INCOMING_BYTES_MAX, INCOMING_MAX, RECEIVE_WINDOW_BYTES,
    SEND_WINDOW_BYTES,
};

/// What both sides negotiate in TLS.
pub const ALPN: &[u8] = b"linnet";

/// Connections follow a client to a new address, which is quinn's default.
pub(crate) fn server(
    config: &QuicConfig,
    tls: Arc<rustls::ServerConfig>,
) -> Result<ServerConfig, StartError> {
    let crypto = QuicServerConfig::try_from(tls).map_err(|_| StartError::Tls)?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server
        .transport_config(Arc::new(transport(config)))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_ALL_MAX);
    Ok(server)
}

fn transport(config: &QuicConfig) -> TransportConfig {
    let idle = IdleTimeout::try_from(config.idle_within).expect("limits are far below 2^62 ms");
    let none = VarInt::from_u32(0);
    let mut transport = TransportConfig::default();
    transport
        // The peer opens nothing: the one stream is ours.
        .max_concurrent_bidi_streams(none)
        .max_concurrent_uni_streams(none)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(config.keep_alive_after));
    transport
}

/// Both keys come from the seed, so that the next process knows the ids of this one's connections.
pub(crate) fn endpoint(seed: [u8; 32]) -> EndpointConfig {
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &derive(seed, b"linnet quic reset"));
    let [a, b, c, d, e, f, g, h, ..] = derive(seed, b"linnet quic ids");
    let ids_key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let mut endpoint = EndpointConfig::new(Arc::new(reset_key));
    endpoint.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids_key)));
    endpoint
}

fn derive(seed: [u8; 32], label: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &seed);
    let mut derived = [0; digest::SHA256_OUTPUT_LEN];
    derived.copy_from_slice(hmac::sign(&key, label).as_ref());
    derived
}
