//! TLS of the generator's connections: rustls, with tickets remembered per session where asked.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, version};

/// Tickets kept per session: a server sends one or two.
const TICKETS: usize = 2;

/// How sessions encrypt.
pub(crate) struct Tls {
    base: ClientConfig,
    shared: Arc<ClientConfig>,
    name: ServerName<'static>,
    resume: bool,
    /// Each slot has a ticket store of its own, made when it first connects.
    of_slot: Vec<Option<Arc<ClientConfig>>>,
}

impl Tls {
    /// TLS 1.3 to `name`, verified against the authority in the file `ca`, or not at all. With
    /// `resume`, a slot's second connection resumes its first.
    ///
    /// # Errors
    /// A file that holds no certificate.
    pub(crate) fn new(
        alpn: Vec<Vec<u8>>,
        ca: Option<&Path>,
        name: ServerName<'static>,
        resume: bool,
    ) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&version::TLS13])
            .context("the provider knows no TLS 1.3")?;
        let mut base = match ca {
            Some(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
                .with_no_client_auth(),
        };
        base.alpn_protocols = alpn;
        Ok(Self::given(base, name, resume))
    }

    /// TLS as somebody else set it up.
    pub(crate) fn given(mut base: ClientConfig, name: ServerName<'static>, resume: bool) -> Self {
        base.resumption = Resumption::disabled();
        let shared = Arc::new(base.clone());
        Self { base, shared, name, resume, of_slot: Vec::new() }
    }

    /// What a slot's next connection uses.
    pub(crate) fn for_slot(&mut self, slot: usize) -> (Arc<ClientConfig>, ServerName<'static>) {
        if !self.resume {
            return (self.shared.clone(), self.name.clone());
        }
        if self.of_slot.len() <= slot {
            self.of_slot.resize(slot + 1, None);
        }
        let config = self.of_slot[slot].get_or_insert_with(|| {
            let mut config = self.base.clone();
            config.resumption = Resumption::in_memory_sessions(TICKETS);
            Arc::new(config)
        });
        (config.clone(), self.name.clone())
    }
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let name = path.display();
    let authority = CertificateDer::from_pem_file(path)
        .with_context(|| format!("{name} holds no certificate"))?;
    let mut roots = RootCertStore::empty();
    roots.add(authority).with_context(|| format!("{name} holds no authority"))?;
    Ok(roots)
}

/// Takes any certificate: the load is aimed at a server of one's own.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
