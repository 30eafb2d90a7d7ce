//! TLS to the box, trusting exactly the authority that the box made for itself.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::PATIENCE;

/// A connection with TLS on it.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Trusts `ca.crt` of a data folder and speaks the given ALPN protocol, if any.
pub fn config(data: &Path, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let path = data.join("tls/ca.crt");
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(&path).expect("linnetd wrote its authority");
    roots.add(authority).expect("the authority is a certificate");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// Connects and lets the first write do the handshake.
pub fn connect(config: &Arc<ClientConfig>, to: SocketAddr) -> std::io::Result<TlsStream> {
    over(config, TcpStream::connect_timeout(&to, PATIENCE)?)
}

/// TLS over a connected socket; the first write does the handshake.
pub fn over(config: &Arc<ClientConfig>, socket: TcpStream) -> std::io::Result<TlsStream> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let name = ServerName::from(socket.peer_addr()?.ip());
    let connection =
        ClientConnection::new(config.clone(), name).expect("the configuration is complete");
    Ok(StreamOwned::new(connection, socket))
}
