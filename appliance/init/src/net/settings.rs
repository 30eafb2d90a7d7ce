//! The settings that init leaves for the child: one file that only init can replace and only the
//! child can read, as it holds the Wi-Fi passphrase. It lies beside the child's folder, not in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::Path;

use update::control::{NetSettings, encode, read_frame};

use super::limits::SETTINGS_BYTES_MAX;
use crate::limits::NET_ID;
use crate::smallfile;

/// Where the file lies; `/run` belongs to root.
pub(crate) const PATH: &str = "/run/linnet-net.settings";

/// Writes the file. Called by init before the child starts, and again before it restarts it.
pub(crate) fn store(path: &Path, settings: &NetSettings) -> io::Result<()> {
    let bytes = encode(settings).map_err(io::Error::other)?;
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&new)?;
    file.write_all(&bytes)?;
    if rustix::process::geteuid().is_root() {
        fchown(&file, Some(NET_ID), Some(NET_ID))?;
    }
    fs::rename(&new, path)
}

/// Reads the file.
pub(super) fn load(path: &Path) -> io::Result<NetSettings> {
    let bytes = smallfile::read_bytes(path, SETTINGS_BYTES_MAX)?;
    let settings = read_frame(&mut bytes.as_slice()).map_err(io::Error::other)?;
    settings.ok_or_else(|| io::Error::other("the file is empty"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use update::provision::Wifi;

    use super::*;

    #[test]
    fn settings_come_back_equal_and_only_their_reader_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings");
        let wifi = Wifi { ssid: "school".into(), passphrase: Some("not so secret".into()) };
        let settings = NetSettings { wifi: Some(wifi), build_s: 7, ..NetSettings::default() };
        store(&path, &NetSettings::default()).unwrap();
        store(&path, &settings).unwrap();
        assert_eq!(load(&path).unwrap(), settings);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(load(&folder.path().join("other")).is_err());
    }
}
