//! Which release's layout the data folder has: one number in the file `format`, looked at before
//! anything else is opened. A folder of a later layout is left exactly as it is: an older program
//! would take what it does not know for damage.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::data::DataFolder;

/// The layout that this release writes. Folders from before the file was there have the first one.
const VERSION: u32 = 1;

/// The oldest layout that this release reads.
const OLDEST: u32 = 1;

/// Longest file read, in bytes: a number and a line's end.
const BYTES_MAX: u64 = 16;

/// Checks the folder; notes the version where there is none.
///
/// # Errors
/// A sentence for the owner when this release must not touch the folder.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let path = root.join("format");
    let Some(text) = read(&path).with_context(|| format!("can't read {}", path.display()))? else {
        // A card that is too full for a number is still served.
        if let Err(error) = DataFolder::write(&path, &format!("{VERSION}\n")) {
            tracing::warn!("the version of the data could not be noted: {error:#}");
        }
        return Ok(());
    };
    match text.trim().parse::<u32>() {
        Ok(found) if found > VERSION => bail!(
            "this card was written by a newer Linnet (data format {found}, this release knows \
             {VERSION}); nothing was touched: install the newer release"
        ),
        Ok(found) if found < OLDEST => bail!(
            "this card was written by an older Linnet (data format {found}, this release reads \
             {OLDEST} and later); nothing was touched: install an earlier release, make a backup \
             there and restore it here"
        ),
        Ok(_) => Ok(()),
        Err(_) => bail!(
            "the file {} holds no version number; nothing was touched: put the card back into \
             the box that wrote it, or restore a backup to a new card",
            path.display()
        ),
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?.take(BYTES_MAX).read_to_end(&mut text)?,
    };
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folder_without_a_version_gets_this_one_and_passes_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("format")).unwrap(), "1\n");
        check(folder.path()).unwrap();
    }

    #[test]
    fn other_versions_are_explained_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("format");
        for (text, said) in [
            ("2\n", "newer Linnet"),
            ("4294967295", "newer Linnet"),
            ("0", "older Linnet"),
            ("", "no version number"),
            ("99999999999999999999999", "no version number"),
            ("two", "no version number"),
        ] {
            fs::write(&path, text).unwrap();
            let error = check(folder.path()).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("nothing was touched"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
