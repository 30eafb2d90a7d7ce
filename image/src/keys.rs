//! Keys that sign update bundles. Builds for development use a key pair that is generated per
//! clone, outside the tree, and marked `dev`; a release wants one that its maker keeps.
//!
//! Key file: TOML, readable by its owner only, `kind` (`dev` or `release`), `public` and `private`
//! (32 bytes each, hexadecimal; private is the seed of RFC 8032).

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use update::bundle::{PublicKey, Signature};
use update::hex;

/// A key file has under 300 bytes.
const FILE_BYTES_MAX: u64 = 4096;
/// Larger files of a tree are not sources; a key hidden in one is no accident.
const SCANNED_BYTES_MAX: u64 = 4 << 20;
/// Folders of a tree that hold what builds made or downloaded.
const NOT_SCANNED: [&str; 4] = [".git", "target", "out", "node_modules"];

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Emulator and development builds.
    Dev,
    /// What owners install.
    Release,
}

/// A key pair, with the file that it came from.
pub struct Key {
    pair: SigningKey,
    kind: Kind,
    file: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    kind: Kind,
    public: PublicKey,
    private: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).field("file", &self.file).finish()
    }
}

impl Key {
    /// Reads a key file.
    ///
    /// # Errors
    /// When it is not one, or others can read it.
    pub fn open(file: &Path) -> Result<Self> {
        let context = || format!("the key {}", file.display());
        let facts = fs::metadata(file).with_context(context)?;
        if facts.permissions().mode() & 0o077 != 0 {
            let path = file.display();
            bail!("others can read the key {path}; if nobody did, use chmod 600 {path}");
        }
        if facts.len() > FILE_BYTES_MAX {
            bail!("{} is too long for a key file", file.display());
        }
        // Neither the parser's words nor the text may reach a screen: they'd show the secret.
        let text = fs::read_to_string(file).with_context(context)?;
        let parsed: Option<KeyFile> = toml::from_str(&text).ok();
        let pair = parsed.and_then(|parsed| Some((parsed.kind, pair(&parsed)?)));
        let (kind, pair) = pair.with_context(|| format!("{} is no key file", file.display()))?;
        Ok(Self { pair, kind, file: fs::canonicalize(file).with_context(context)? })
    }

    /// Draws a key and stores it in a new file.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn generate(file: &Path, kind: Kind) -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| anyhow::anyhow!("the system's random source: {error}"))?;
        let pair = SigningKey::from_bytes(&seed);
        let public = PublicKey::from_bytes(pair.verifying_key().to_bytes());
        let content = KeyFile { kind, public, private: hex::encode(&seed) };
        write_secret(file, &toml::to_string(&content)?)
            .with_context(|| format!("the new key {}", file.display()))?;
        Self::open(file)
    }

    /// This clone's own development key, made when it is first asked for.
    ///
    /// # Errors
    /// Without a home folder, or when the folder for keys lies in the tree.
    pub fn of_clone(tree: &Path) -> Result<Self> {
        Self::of_clone_in(&data_folder()?, tree)
    }

    fn of_clone_in(data: &Path, tree: &Path) -> Result<Self> {
        let tree = fs::canonicalize(tree)?;
        let clone = hex::encode(&Sha256::digest(tree.as_os_str().as_encoded_bytes())[..8]);
        let folder = data.join("linnet/update-keys");
        let file = folder.join(format!("dev-{clone}.toml"));
        if file.exists() {
            return Self::open(&file);
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&folder)?;
        if fs::canonicalize(&folder)?.starts_with(&tree) {
            bail!("{} lies in the source tree; set XDG_DATA_HOME elsewhere", folder.display());
        }
        Self::generate(&file, Kind::Dev)
    }

    /// The half that boxes know.
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.pair.verifying_key().to_bytes())
    }

    /// What it may be used for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it is kept.
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        self.pair.sign(message).to_bytes()
    }

    /// Whether a release may be signed with this key.
    ///
    /// # Errors
    /// When it is marked dev, or its private half lies in the tree, as this or any other file.
    pub fn check_for_release(&self, tree: &Path) -> Result<()> {
        if self.kind == Kind::Dev {
            bail!("{} is a development key; a release wants one of its own", self.file.display());
        }
        let tree = fs::canonicalize(tree)?;
        if self.file.starts_with(&tree) {
            bail!("the key {} lies in the source tree; keep it elsewhere", self.file.display());
        }
        let secret = self.pair.to_bytes();
        match find(&tree, &secret)? {
            Some(file) => bail!("{} holds the private key; it must be replaced", file.display()),
            None => Ok(()),
        }
    }
}

fn pair(file: &KeyFile) -> Option<SigningKey> {
    let pair = SigningKey::from_bytes(&hex::decode(&file.private)?);
    (pair.verifying_key().as_bytes() == file.public.bytes()).then_some(pair)
}

fn write_secret(file: &Path, text: &str) -> Result<()> {
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    target.write_all(
        b"# Signs Linnet updates. Whoever has it can change every box that knows it.\n",
    )?;
    target.write_all(text.as_bytes())?;
    target.sync_all()?;
    Ok(())
}

fn data_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share"));
    base.or(home).context("neither XDG_DATA_HOME nor HOME is set")
}

/// The first file that holds the secret, as bytes or as hexadecimal digits.
fn find(folder: &Path, secret: &[u8; 32]) -> Result<Option<PathBuf>> {
    let text = hex::encode(secret);
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() && !NOT_SCANNED.iter().any(|name| entry.file_name() == *name) {
            if let Some(found) = find(&path, secret)? {
                return Ok(Some(found));
            }
        } else if kind.is_file() && entry.metadata()?.len() <= SCANNED_BYTES_MAX {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            if holds(&bytes, secret) || holds(&bytes.to_ascii_lowercase(), text.as_bytes()) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    let first = wanted[0];
    let mut starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.any(|(at, _)| bytes[at..].starts_with(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_has_one_key_of_its_own_outside_the_tree_and_marked_dev() {
        let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = Key::of_clone_in(home.path(), tree.path()).unwrap();
        assert_eq!(key.kind(), Kind::Dev);
        assert!(key.file.starts_with(fs::canonicalize(home.path()).unwrap()));
        assert_eq!(fs::metadata(&key.file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Key::of_clone_in(home.path(), tree.path()).unwrap();
        assert_eq!(again.public(), key.public());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Key::of_clone_in(home.path(), other.path()).unwrap().public(), key.public());
        let inside = Key::of_clone_in(&tree.path().join("data"), tree.path()).unwrap_err();
        assert!(inside.to_string().contains("lies in the source tree"), "{inside}");
    }

    #[test]
    fn a_release_refuses_a_dev_key_and_one_whose_private_half_is_in_the_tree() {
        let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let refusal = |key: &Key| key.check_for_release(tree.path()).unwrap_err().to_string();
        let dev = Key::of_clone_in(home.path(), tree.path()).unwrap();
        assert!(refusal(&dev).contains("development key"));
        let inside = Key::generate(&tree.path().join("k.toml"), Kind::Release).unwrap();
        assert!(refusal(&inside).contains("lies in the source tree"));

        let key = Key::generate(&home.path().join("release.toml"), Kind::Release).unwrap();
        key.check_for_release(tree.path()).unwrap();
        let (deep, skipped) = (tree.path().join("docs/notes"), tree.path().join("target"));
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir(&skipped).unwrap();
        let seed = key.pair.to_bytes();
        fs::write(skipped.join("log"), seed).unwrap();
        key.check_for_release(tree.path()).unwrap();
        for bytes in [seed.to_vec(), format!("x{}y", hex::encode(&seed).to_uppercase()).into()] {
            fs::write(deep.join("a"), bytes).unwrap();
            assert!(refusal(&key).contains("holds the private key"));
        }
    }

    #[test]
    fn a_key_file_that_others_can_read_or_that_is_damaged_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.toml");
        let key = Key::generate(&file, Kind::Release).unwrap();
        let secret = hex::encode(&key.pair.to_bytes());
        assert!(!format!("{key:?}").contains(&secret));
        assert!(Key::generate(&file, Kind::Release).is_err(), "a key is never overwritten");
        let text = fs::read_to_string(&file).unwrap();
        for damaged in [text.replace(&secret, &"0".repeat(64)), format!("{text}{secret}"), text] {
            fs::write(&file, &damaged).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(format!("{:#}", Key::open(&file).unwrap_err()).contains("chmod 600"));
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            match Key::open(&file) {
                Ok(opened) => assert_eq!(opened.public(), key.public()),
                Err(error) => assert!(!format!("{error:#} {error:?}").contains(&secret)),
            }
        }
        assert!(Key::open(&file).is_ok(), "the last round wrote the good file");
    }
}
