//! Makes the CA and its leaves. The clock comes in as an argument; randomness is rcgen's.

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
    PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use wire::ids::{BoxId, TimeMs};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::TrustError;
use super::names::{ADDRESSES_PERMITTED, DNS_PERMITTED, LeafNames, is_top_level, normalize};
use crate::config::Network;
use crate::limits::{CA_DAYS, LEAF_BACKDATE_DAYS_MAX, LEAF_DAYS_LEFT_MIN, LEAF_DAYS_MAX};

/// The CA: its certificate and key.
pub(super) struct Authority {
    pub(super) der: Vec<u8>,
    key: KeyPair,
    /// DNS subtrees its name constraints permit.
    subtrees: Vec<String>,
}

/// A leaf with its key.
pub(super) struct Leaf {
    pub(super) der: Vec<u8>,
    pub(super) key_der: Vec<u8>,
    pub(super) names: LeafNames,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl Authority {
    pub(super) fn generate(
        box_id: BoxId,
        network: &Network,
        now: TimeMs,
        floor: TimeMs,
    ) -> Result<Self, TrustError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(issue)?;
        let mut subtrees: Vec<String> = DNS_PERMITTED.map(str::to_owned).to_vec();
        let own = network.names.iter().filter_map(|name| normalize(name));
        subtrees.extend(own.filter(|name| !is_top_level(name)));
        let params = authority_params(box_id, &subtrees, not_before(now, floor))?;
        let certificate = params.self_signed(&key).map_err(issue)?;
        Ok(Self { der: certificate.der().to_vec(), key, subtrees })
    }

    /// Puts a stored CA together again; the error says what is wrong with it.
    pub(super) fn load(der: Vec<u8>, key: KeyPair) -> Result<Self, String> {
        let (rest, certificate) = X509Certificate::from_der(&der).map_err(|e| e.to_string())?;
        if !rest.is_empty() {
            return Err("bytes follow the certificate".to_owned());
        }
        if certificate.public_key().subject_public_key.as_ref() != key.public_key_raw() {
            return Err("certificate and key do not belong together".to_owned());
        }
        let signed = certificate.verify_signature(None);
        signed.map_err(|_| "its own signature does not fit".to_owned())?;
        let subtrees = permitted_subtrees(&certificate)?;
        Ok(Self { der, key, subtrees })
    }

    pub(super) fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// What of `network` this CA may certify.
    pub(super) fn leaf_names(&self, network: &Network) -> LeafNames {
        LeafNames::permitted(network, &self.subtrees)
    }

    pub(super) fn issue(
        &self,
        names: LeafNames,
        now: TimeMs,
        floor: TimeMs,
    ) -> Result<Leaf, TrustError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(issue)?;
        let not_before = not_before(now, floor);
        let not_after = not_before + Duration::days(LEAF_DAYS_MAX) - Duration::SECOND;
        let params = leaf_params(&names, not_before, not_after)?;
        let ca = self.der.as_slice().into();
        let issuer = Issuer::from_ca_cert_der(&ca, &self.key).map_err(issue)?;
        let certificate = params.signed_by(&key, &issuer).map_err(issue)?;
        Ok(Leaf {
            der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
            names,
            not_before,
            not_after,
        })
    }
}

impl Leaf {
    /// Puts a stored leaf together again; none when it is not whole or not of this CA: leaves are
    /// replaceable.
    pub(super) fn load(der: Vec<u8>, key: &KeyPair, authority: &Authority) -> Option<Self> {
        let (_, ca) = X509Certificate::from_der(&authority.der).ok()?;
        let (rest, leaf) = X509Certificate::from_der(&der).ok()?;
        let same_key = leaf.public_key().subject_public_key.as_ref() == key.public_key_raw();
        if !rest.is_empty() || !same_key {
            return None;
        }
        leaf.verify_signature(Some(ca.public_key())).ok()?;
        let validity = leaf.validity();
        let (names, not_before, not_after) =
            (names_of(&leaf)?, validity.not_before.to_datetime(), validity.not_after.to_datetime());
        Some(Self { der, key_der: key.serialize_der(), names, not_before, not_after })
    }

    /// Whether it can stay in use.
    pub(super) fn fits(&self, names: &LeafNames, now: TimeMs) -> bool {
        let now = date(now);
        self.names == *names
            && self.not_before <= now
            && now + Duration::days(LEAF_DAYS_LEFT_MIN) <= self.not_after
    }
}

fn authority_params(
    box_id: BoxId,
    subtrees: &[String],
    not_before: OffsetDateTime,
) -> Result<CertificateParams, TrustError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = format!("Linnet box {box_id}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Linnet");
    params.serial_number = Some(serial()?);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Name constraints bind host names only; this keeps the CA from signing mail or programs.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: constraints(subtrees),
        excluded_subtrees: Vec::new(),
    });
    params.not_before = not_before;
    params.not_after = not_before + Duration::days(CA_DAYS);
    Ok(params)
}

fn constraints(subtrees: &[String]) -> Vec<GeneralSubtree> {
    let dns = subtrees.iter().cloned().map(GeneralSubtree::DnsName);
    let addresses = ADDRESSES_PERMITTED
        .iter()
        .map(|(range, prefix)| GeneralSubtree::IpAddress(subnet(*range, *prefix)));
    dns.chain(addresses).collect()
}

fn subnet(range: std::net::IpAddr, prefix: u8) -> CidrSubnet {
    match range {
        std::net::IpAddr::V4(range) => {
            let mask = u32::MAX << (32 - u32::from(prefix));
            CidrSubnet::V4(range.octets(), mask.to_be_bytes())
        }
        std::net::IpAddr::V6(range) => {
            let mask = u128::MAX << (128 - u32::from(prefix));
            CidrSubnet::V6(range.octets(), mask.to_be_bytes())
        }
    }
}

fn leaf_params(
    names: &LeafNames,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<CertificateParams, TrustError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Linnet server");
    params.serial_number = Some(serial()?);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    for name in &names.dns {
        let name = name.as_str().try_into().map_err(issue)?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    let addresses = names.addresses.iter().copied().map(SanType::IpAddress);
    params.subject_alt_names.extend(addresses);
    params.not_before = not_before;
    params.not_after = not_after;
    Ok(params)
}

/// The clock floor, as the box's own clock may be ahead of its clients'; bounded so that most of
/// the validity lies ahead.
fn not_before(now: TimeMs, floor: TimeMs) -> OffsetDateTime {
    let now = date(now);
    let earliest = now - Duration::days(LEAF_BACKDATE_DAYS_MAX);
    date(floor).clamp(earliest, now)
}

/// Whole seconds, as certificates hold them. A time no calendar holds counts as its beginning.
fn date(time: TimeMs) -> OffsetDateTime {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Random, so that a leaf never shares its number with an earlier one (RFC 5280, 4.1.2.2).
fn serial() -> Result<SerialNumber, TrustError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| TrustError::Issue(error.to_string()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn permitted_subtrees(certificate: &X509Certificate<'_>) -> Result<Vec<String>, String> {
    let constraints = certificate.name_constraints().map_err(|e| e.to_string())?;
    let permitted = constraints
        .and_then(|extension| extension.value.permitted_subtrees.as_ref())
        .ok_or("it has no name constraints")?;
    Ok(permitted
        .iter()
        .filter_map(|subtree| match subtree.base {
            GeneralName::DNSName(name) => Some(name.to_owned()),
            _ => None,
        })
        .collect())
}

fn names_of(leaf: &X509Certificate<'_>) -> Option<LeafNames> {
    let mut names = LeafNames::default();
    for extension in leaf.extensions() {
        let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() else {
            continue;
        };
        for name in &san.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.insert((*name).to_owned()),
                GeneralName::IPAddress(bytes) => names.addresses.insert(address(bytes)?),
                _ => return None,
            };
        }
    }
    Some(names)
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
    v4().or_else(|_| v6()).ok()
}

#[allow(clippy::needless_pass_by_value, reason = "used as map_err(issue)")]
pub(super) fn issue(error: rcgen::Error) -> TrustError {
    TrustError::Issue(error.to_string())
}
