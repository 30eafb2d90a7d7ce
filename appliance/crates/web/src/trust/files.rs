//! `DATA/tls`: ca.key, ca.crt, leaf.key, leaf.crt, all PEM, and tickets.key; readable by linnetd
//! alone.
//!
//! The folder appears whole (written beside, then renamed), so a power cut on the first start
//! leaves either no CA or a complete one. Files inside are replaced by rename.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::TrustError;
use super::issue::{Authority, Leaf};
use crate::limits::PEM_BYTES_MAX;

const OWNER_ONLY_FILE: u32 = 0o600;
const OWNER_ONLY_FOLDER: u32 = 0o700;
const TICKETS: &str = "tickets.key";

pub(super) struct Folder {
    data: PathBuf,
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(data: &Path) -> Self {
        Self { data: data.to_owned(), path: data.join("tls") }
    }

    pub(super) fn exists(&self) -> Result<bool, TrustError> {
        self.path.try_exists().map_err(at(&self.path))
    }

    /// Writes the CA into a folder beside, then makes it appear in one step.
    pub(super) fn create(&self, authority: &Authority) -> Result<(), TrustError> {
        let beside = self.data.join("tls.new");
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&beside)(error)),
            _ => {}
        }
        let mut builder = DirBuilder::new();
        let made = builder.mode(OWNER_ONLY_FOLDER).create(&beside);
        made.map_err(at(&beside))?;
        write(&beside.join("ca.key"), authority.key_pem().as_bytes())?;
        write(&beside.join("ca.crt"), pem(&authority.der).as_bytes())?;
        sync(&beside)?;
        fs::rename(&beside, &self.path).map_err(at(&self.path))?;
        sync(&self.data)
    }

    pub(super) fn load_authority(&self) -> Result<Authority, TrustError> {
        let (key_path, path) = (self.path.join("ca.key"), self.path.join("ca.crt"));
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(|_| damaged(&key_path, "no key"))?;
        let der = CertificateDer::from_pem_slice(read(&path)?.as_bytes())
            .map_err(|_| damaged(&path, "no certificate"))?;
        Authority::load(der.to_vec(), key).map_err(|what| damaged(&path, &what))
    }

    /// The stored leaf, or none when it is missing, damaged or of another CA.
    pub(super) fn load_leaf(&self, authority: &Authority) -> Option<Leaf> {
        let key = KeyPair::from_pem(&read(&self.path.join("leaf.key")).ok()?).ok()?;
        let text = read(&self.path.join("leaf.crt")).ok()?;
        let der = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
        Leaf::load(der.to_vec(), &key, authority)
    }

    /// A cut between the two renames leaves a pair that does not match: the next start re-issues.
    pub(super) fn store_leaf(&self, leaf: &Leaf) -> Result<(), TrustError> {
        let key = KeyPair::try_from(leaf.key_der.as_slice()).map_err(super::issue::issue)?;
        for (name, text) in [("leaf.key", key.serialize_pem()), ("leaf.crt", pem(&leaf.der))] {
            self.replace(name, text.as_bytes())?;
        }
        sync(&self.path)
    }

    /// The stored ticket keys; none when there are none yet.
    pub(super) fn load_tickets(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path.join(TICKETS)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(PEM_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    pub(super) fn store_tickets(&self, bytes: &[u8]) -> Result<(), TrustError> {
        self.replace(TICKETS, bytes)?;
        sync(&self.path)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), TrustError> {
        let beside = self.path.join(format!("{name}.new"));
        write(&beside, bytes)?;
        let path = self.path.join(name);
        fs::rename(&beside, &path).map_err(at(&path))
    }
}

fn read(path: &Path) -> Result<String, TrustError> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => damaged(path, "it is missing"),
        _ => at(path)(error),
    })?;
    let read = file.take(PEM_BYTES_MAX).read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(damaged(path, "not text")),
        Err(error) => Err(at(path)(error)),
        Ok(_) => Ok(text),
    }
}

/// Writes a new file for its owner alone and syncs it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(path)(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(OWNER_ONLY_FILE);
    let mut file = options.open(path).map_err(at(path))?;
    file.write_all(bytes).map_err(at(path))?;
    file.sync_all().map_err(at(path))
}

fn sync(folder: &Path) -> Result<(), TrustError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(at(folder))
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|start| &text[start..text.len().min(start + 64)]).collect();
    let lines = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

fn at(path: &Path) -> impl Fn(io::Error) -> TrustError + '_ {
    |source| TrustError::Io { path: path.to_owned(), source }
}

fn damaged(path: &Path, what: &str) -> TrustError {
    TrustError::Damaged { path: path.to_owned(), what: what.to_owned() }
}
