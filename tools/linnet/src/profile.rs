//! What this computer knows of a box: `~/.config/linnet/<box>.json` with the pinned CA and the
//! device token, beside it the outbox. Files are for their owner alone and replaced whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wire::ids::{BoxId, DeviceId, DeviceToken, UserId};

use crate::client::{Host, Outbox, Trust};

/// One device on one box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Which box.
    pub box_id: BoxId,
    /// Where it answered last.
    pub host: Host,
    /// Its CA certificate: base64 of DER.
    pub ca: String,
    /// Whose account.
    pub name: String,
    /// Their number.
    pub user: UserId,
    /// This computer's device.
    pub device: DeviceId,
    /// Its secret.
    pub token: DeviceToken,
}

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("{path} is damaged; remove it and sign in again with `linnet login HOST`")]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// Nowhere to keep it.
    #[error("neither HOME nor XDG_CONFIG_HOME says where settings live; set one of them")]
    NoHome,
    /// None is there.
    #[error("this computer knows no box yet; run `linnet claim LINK` or `linnet login HOST`")]
    None,
    /// None fits.
    #[error("no box fits {wanted:?}; this computer knows: {known}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// Several fit.
    #[error("several boxes are known; say which with --box: {known}")]
    Several {
        /// What there is.
        known: String,
    },
    /// Another program numbers this device's commands.
    #[error("another `linnet` sends with this profile now; wait for it or end it")]
    Locked,
}

impl Profile {
    /// Whom to believe.
    ///
    /// # Errors
    /// [`ProfileError::Damaged`] when the CA is no base64 text.
    pub fn trust(&self) -> Result<Trust, ProfileError> {
        let der = STANDARD.decode(&self.ca).map_err(|_| ProfileError::Damaged {
            path: PathBuf::from(format!("{}.json", self.box_id)),
        })?;
        Ok(Trust::Pinned(der))
    }

    /// The text form of a CA certificate.
    #[must_use]
    pub fn encode_ca(ca_der: &[u8]) -> String {
        STANDARD.encode(ca_der)
    }
}

/// The folder with all profiles.
#[derive(Clone, Debug)]
pub struct Profiles {
    folder: PathBuf,
}

/// Held while commands are sent: two programs must not number one device's commands.
#[derive(Debug)]
pub struct SendLock {
    _file: File,
}

impl Profiles {
    /// In a folder of the caller's choice.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where the XDG base directory specification wants them.
    ///
    /// # Errors
    /// [`ProfileError::NoHome`].
    pub fn of_this_user() -> Result<Self, ProfileError> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let base = match (set("XDG_CONFIG_HOME"), set("HOME")) {
            (Some(config), _) => PathBuf::from(config),
            (None, Some(home)) => PathBuf::from(home).join(".config"),
            (None, None) => return Err(ProfileError::NoHome),
        };
        Ok(Self::in_folder(&base.join("linnet")))
    }

    /// All of them.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn all(&self) -> Result<Vec<Profile>, ProfileError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(at(&self.folder))?,
        };
        let mut profiles = Vec::new();
        for entry in entries {
            let path = entry.map_err(at(&self.folder))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let json = path.extension().is_some_and(|extension| extension == "json");
            if json && stem.is_some_and(|stem| BoxId::from_hex(stem).is_some()) {
                profiles.extend(load::<Profile>(&path)?);
            }
        }
        profiles.sort_by_key(|profile| profile.box_id);
        Ok(profiles)
    }

    /// The one that a person means: by host, the beginning of the box's id, or as the only one.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn choose(&self, wanted: Option<&str>) -> Result<Profile, ProfileError> {
        let all = self.all()?;
        let known: Vec<String> = all.iter().map(|it| it.host.to_string()).collect();
        let known = known.join(", ");
        let fits = |profile: &Profile| {
            wanted.is_none_or(|wanted| {
                profile.host.to_string() == wanted || profile.box_id.to_string().starts_with(wanted)
            })
        };
        let mut fitting = all.into_iter().filter(fits);
        match (fitting.next(), fitting.next(), wanted) {
            (Some(profile), None, _) => Ok(profile),
            (Some(_), Some(_), _) => Err(ProfileError::Several { known }),
            (None, _, None) => Err(ProfileError::None),
            (None, _, Some(wanted)) => {
                Err(ProfileError::Unknown { wanted: wanted.to_owned(), known })
            }
        }
    }

    /// Stores a profile; a new device begins with an empty outbox.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn save(&self, profile: &Profile) -> Result<(), ProfileError> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.folder);
        made.map_err(at(&self.folder))?;
        let before = load::<Profile>(&self.path(profile, "json"))?;
        if before.is_some_and(|before| before.device != profile.device) {
            remove(&self.path(profile, "outbox"))?;
        }
        replace(&self.path(profile, "json"), profile, true)
    }

    /// Forgets a box.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn forget(&self, profile: &Profile) -> Result<(), ProfileError> {
        remove(&self.path(profile, "outbox"))?;
        remove(&self.path(profile, "lock"))?;
        remove(&self.path(profile, "json"))
    }

    /// Takes the right to send.
    ///
    /// # Errors
    /// [`ProfileError::Locked`] while another program has it.
    pub fn lock(&self, profile: &Profile) -> Result<SendLock, ProfileError> {
        let path = self.path(profile, "lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(SendLock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(ProfileError::Locked),
            Err(fs::TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }

    /// Commands that an earlier run could not finish.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn load_outbox(&self, profile: &Profile, _: &SendLock) -> Result<Outbox, ProfileError> {
        Ok(load(&self.path(profile, "outbox"))?.unwrap_or_default())
    }

    /// Stores the outbox; an empty one needs no file. Not synced: the server's counter is the truth
    /// after a crash of this computer.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn store_outbox(
        &self,
        profile: &Profile,
        outbox: &Outbox,
        _: &SendLock,
    ) -> Result<(), ProfileError> {
        let path = self.path(profile, "outbox");
        match outbox.pending().is_empty() {
            true => remove(&path),
            false => replace(&path, outbox, false),
        }
    }

    fn path(&self, profile: &Profile, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", profile.box_id))
    }
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ProfileError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(at(path))?,
    };
    let value = serde_json::from_slice(&bytes)
        .map_err(|_| ProfileError::Damaged { path: path.to_owned() })?;
    Ok(Some(value))
}

fn replace(path: &Path, value: &impl Serialize, sync: bool) -> Result<(), ProfileError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| at(path)(error.into()))?;
    let beside = path.with_extension("new");
    remove(&beside)?;
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(0o600);
    let mut file = options.open(&beside).map_err(at(&beside))?;
    file.write_all(&bytes).map_err(at(&beside))?;
    if sync {
        file.sync_all().map_err(at(&beside))?;
    }
    fs::rename(&beside, path).map_err(at(path))
}

fn remove(path: &Path) -> Result<(), ProfileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> ProfileError + '_ {
    |source| ProfileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::client::Command;
    use wire::ids::RoomId;

    fn profile(byte: u8, host: &str) -> Profile {
        Profile {
            box_id: BoxId([byte; 16]),
            host: host.parse().unwrap(),
            ca: Profile::encode_ca(b"ca"),
            name: "ada".to_owned(),
            user: UserId(1),
            device: DeviceId(2),
            token: DeviceToken([9; 32]),
        }
    }

    fn profiles() -> (tempfile::TempDir, Profiles) {
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles::in_folder(&folder.path().join("linnet"));
        (folder, profiles)
    }

    fn outbox() -> Outbox {
        let mut outbox = Outbox::default();
        let (room, text) = (RoomId(1), "hi".to_owned());
        outbox.push(Command::Send { room, text });
        outbox
    }

    #[test]
    fn a_profile_comes_back_and_is_readable_by_its_owner_alone() {
        let (_folder, profiles) = profiles();
        assert!(matches!(profiles.choose(None), Err(ProfileError::None)));
        let one = profile(1, "linnet.local");
        profiles.save(&one).unwrap();
        assert_eq!(profiles.choose(None).unwrap(), one);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&profiles.folder), 0o700);
        assert_eq!(mode(&profiles.path(&one, "json")), 0o600);
    }

    #[test]
    fn a_box_is_chosen_by_host_or_id_when_there_are_several() {
        let (_folder, profiles) = profiles();
        let (one, two) = (profile(1, "one.local"), profile(2, "two.local"));
        profiles.save(&one).unwrap();
        profiles.save(&two).unwrap();
        assert!(matches!(profiles.choose(None), Err(ProfileError::Several { .. })));
        assert_eq!(profiles.choose(Some("two.local")).unwrap(), two);
        assert_eq!(profiles.choose(Some("0101")).unwrap(), one);
        let unknown = profiles.choose(Some("three.local")).unwrap_err().to_string();
        assert!(unknown.contains("one.local, two.local"), "{unknown}");
    }

    #[test]
    fn an_outbox_survives_a_restart_but_not_a_new_device() {
        let (_folder, profiles) = profiles();
        let mut one = profile(1, "one.local");
        profiles.save(&one).unwrap();
        let lock = profiles.lock(&one).unwrap();
        profiles.store_outbox(&one, &outbox(), &lock).unwrap();
        profiles.save(&one).unwrap();
        assert_eq!(profiles.load_outbox(&one, &lock).unwrap().pending().len(), 1);
        one.device = DeviceId(3);
        profiles.save(&one).unwrap();
        assert!(profiles.load_outbox(&one, &lock).unwrap().pending().is_empty());
    }

    #[test]
    fn only_one_program_sends_with_a_profile() {
        let (_folder, profiles) = profiles();
        let one = profile(1, "one.local");
        profiles.save(&one).unwrap();
        let lock = profiles.lock(&one).unwrap();
        assert!(matches!(profiles.lock(&one), Err(ProfileError::Locked)));
        drop(lock);
        assert!(profiles.lock(&one).is_ok());
    }

    #[test]
    fn a_damaged_profile_is_named() {
        let (_folder, profiles) = profiles();
        let one = profile(1, "one.local");
        profiles.save(&one).unwrap();
        fs::write(profiles.path(&one, "json"), "{").unwrap();
        let error = profiles.choose(None).unwrap_err().to_string();
        assert!(error.contains("sign in again"), "{error}");
    }
}
