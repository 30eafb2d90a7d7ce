//! TLS to a box: its own CA is the only one that counts, and the clock of neither side matters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore};
use rustls::{OtherError, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use update::proof::TLS_EXPORTER_LABEL;

use super::error::ClientError;
use super::host::Host;

/// A box on the local network answers within milliseconds; a sleepy Wi-Fi takes seconds.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Every box's certificate carries this name. The CA, not the name, tells which box it is.
pub(super) const NAME_OF_EVERY_BOX: &str = "localhost";

/// Whom to believe.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The box with this CA (DER) and no other.
    Pinned(Vec<u8>),
    /// Whoever answers, as long as the chain fits together: only until a proof or a person vouches
    /// for the CA. No secret may be sent before.
    FirstContact,
}

/// SHA-256 of a CA, shown as eight words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a CA certificate in DER.
    #[must_use]
    pub fn of(ca_der: &[u8]) -> Self {
        Self(Sha256::digest(ca_der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&update::fingerprint::words(&self.0).join(" "))
    }
}

/// An established connection.
pub(super) struct Connection {
    pub(super) stream: TlsStream<TcpStream>,
    /// The CA that vouched for the other side, in DER.
    pub(super) ca_der: Vec<u8>,
    /// Exporter of this connection for the claim proof.
    pub(super) exporter: [u8; 32],
}

/// TLS of native sessions with a box and the name that its certificate carries, for programs that
/// drive connections themselves.
///
/// # Errors
/// [`ClientError::Protocol`] when TLS 1.3 is not to be had.
pub fn session_tls(trust: &Trust) -> Result<(ClientConfig, ServerName<'static>), ClientError> {
    let name = ServerName::try_from(NAME_OF_EVERY_BOX).expect("the constant is a host name");
    Ok((config(trust, b"linnet")?, name))
}

/// Connects and negotiates `alpn`.
pub(super) async fn connect(
    host: &Host,
    trust: &Trust,
    alpn: &[u8],
) -> Result<Connection, ClientError> {
    let unreachable = |cause: String| ClientError::Unreachable { host: host.to_string(), cause };
    let attempt = timeout(CONNECT_TIMEOUT, TcpStream::connect(host.resolvable())).await;
    let socket = attempt
        .map_err(|_| unreachable("no answer in time".to_owned()))?
        .map_err(|error| unreachable(error.to_string()))?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from(NAME_OF_EVERY_BOX).expect("the constant is a host name");
    let connector = TlsConnector::from(Arc::new(config(trust, alpn)?));
    let attempt = timeout(CONNECT_TIMEOUT, connector.connect(name, socket)).await;
    let stream = attempt
        .map_err(|_| unreachable("no TLS handshake in time".to_owned()))?
        .map_err(|error| handshake_failed(host, &error))?;
    examine(stream, trust)
}

/// TLS 1.3 that believes only whom it should, for either transport.
pub(super) fn config(trust: &Trust, alpn: &[u8]) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(BoxVerifier {
        pinned: match trust {
            Trust::Pinned(der) => Some(CertificateDer::from(der.clone())),
            Trust::FirstContact => None,
        },
        provider: Arc::clone(&provider),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ClientError::Protocol(error.to_string()))?;
    let mut config =
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    // Nothing before the handshake is worth resuming for; each connection proves the box anew.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn handshake_failed(host: &Host, error: &std::io::Error) -> ClientError {
    let tls = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(cause)) => not_the_box(host, &format!("{cause:?}")),
        Some(error) => ClientError::Protocol(format!("TLS: {error}")),
        None => ClientError::Broken(error.to_string()),
    }
}

/// Another CA answers.
pub(super) fn not_the_box(host: &Host, cause: &str) -> ClientError {
    ClientError::NotTheBox(format!(
        "{host} is not the box this computer knows ({cause}); if the box was set up anew, \
         compare its eight words and run `linnet login {host} --words \"EIGHT WORDS\"`"
    ))
}

fn examine(stream: TlsStream<TcpStream>, trust: &Trust) -> Result<Connection, ClientError> {
    let tls = stream.get_ref().1;
    let presented = tls.peer_certificates().and_then(<[_]>::last);
    let ca_der = match (trust, presented) {
        (Trust::Pinned(der), _) => der.clone(),
        (Trust::FirstContact, Some(ca)) => ca.to_vec(),
        (Trust::FirstContact, None) => {
            return Err(ClientError::Protocol("no certificate".to_owned()));
        }
    };
    let exporter = tls
        .export_keying_material([0; 32], TLS_EXPORTER_LABEL, None)
        .map_err(|error| ClientError::Protocol(error.to_string()))?;
    Ok(Connection { stream, ca_der, exporter })
}

/// Accepts exactly what one CA signed: the pinned one, or at first contact the one presented.
#[derive(Debug)]
struct BoxVerifier {
    pinned: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl BoxVerifier {
    fn under(&self, ca: CertificateDer<'static>) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(ca)?;
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::Other(OtherError(Arc::new(error))))
    }
}

impl ServerCertVerifier for BoxVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = || others.last().map(|ca| ca.clone().into_owned());
        let ca = self.pinned.clone().or_else(presented);
        let ca = ca.ok_or(CertificateError::UnknownIssuer)?;
        let verifier = self.under(ca)?;
        let verdict = verifier.verify_server_cert(leaf, &[], name, ocsp, now);
        // A box without a battery, or this computer, may have a wrong clock; the CA still vouches.
        match verdict.as_ref().err().and_then(valid_time) {
            Some(time) => verifier.verify_server_cert(leaf, &[], name, ocsp, time),
            None => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A time at which the leaf was valid, if only the time is wrong with it.
fn valid_time(error: &Error) -> Option<UnixTime> {
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(*not_after)
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Some(*not_before)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

    struct Authority {
        der: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Authority { der, issuer }
    }

    fn leaf(authority: &Authority, years: std::ops::Range<i32>) -> CertificateDer<'static> {
        let names = vec![NAME_OF_EVERY_BOX.to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &authority.issuer).unwrap();
        leaf.der().clone()
    }

    fn verify(
        pinned: Option<&Authority>,
        leaf: &CertificateDer<'_>,
        presented: &Authority,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = BoxVerifier {
            pinned: pinned.map(|authority| authority.der.clone()),
            provider: Arc::new(ring::default_provider()),
        };
        let name = ServerName::try_from(NAME_OF_EVERY_BOX).unwrap();
        let others = [presented.der.clone()];
        // 2026-01-15
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_768_435_200));
        verifier.verify_server_cert(leaf, &others, &name, &[], now)
    }

    #[test]
    fn only_the_pinned_ca_counts_whatever_is_presented() {
        let (own, other) = (authority(), authority());
        let (good, foreign) = (leaf(&own, 2025..2027), leaf(&other, 2025..2027));
        assert!(verify(Some(&own), &good, &own).is_ok());
        assert!(verify(Some(&own), &good, &other).is_ok());
        assert!(verify(Some(&own), &foreign, &other).is_err());
        assert!(verify(Some(&own), &foreign, &own).is_err());
    }

    #[test]
    fn at_first_contact_the_chain_must_fit_together() {
        let (own, other) = (authority(), authority());
        let good = leaf(&own, 2025..2027);
        assert!(verify(None, &good, &own).is_ok());
        assert!(verify(None, &good, &other).is_err());
    }

    #[test]
    fn a_wrong_clock_on_either_side_locks_nobody_out_and_lets_nobody_in() {
        let (own, other) = (authority(), authority());
        for years in [2019..2020, 2031..2032] {
            assert!(verify(Some(&own), &leaf(&own, years.clone()), &own).is_ok(), "{years:?}");
            assert!(verify(Some(&own), &leaf(&other, years), &own).is_err());
        }
    }
}
