//! How the boot before this one ended: the kernel's last words in pstore, the watchdog's own
//! memory, and a mark on DATA that only an orderly end turns over. And the tail of the log on DATA:
//! few writes, bounded, one older copy kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use update::control::{EndKind, LastEnd, sentence};

use crate::limits::{PSTORE_BYTES_MAX, PSTORE_FILES_MAX};
use crate::logs::Logs;
use crate::smallfile::{read_bytes, read_text, replace_private};

const PSTORE: &str = "/sys/fs/pstore";
const BOOT_STATUS: &str = "/sys/class/watchdog/watchdog0/bootstatus";

/// linux/watchdog.h, WDIOF_CARDRESET: the watchdog caused the last reset.
const CARD_RESET: u32 = 0x20;

/// What a boot writes as long as it has not ended.
const RUNNING: &str = "running";
const ORDERLY: &str = "orderly";
const STUCK: &str = "stuck: ";

/// What survived the reset outside the card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Survived {
    /// The kernel's last words.
    pub(crate) panic: Option<String>,
    watchdog_reset: bool,
}

/// Reads what the kernel kept, and makes room for the next time.
pub(crate) fn survived() -> Survived {
    let status = read_text(BOOT_STATUS).and_then(|text| text.parse::<u32>().ok());
    Survived {
        panic: take_panic(Path::new(PSTORE)),
        watchdog_reset: status.is_some_and(|status| status & CARD_RESET != 0),
    }
}

/// The line of the panic in pstore's dumps of the kernel log; they are removed, as the kernel keeps
/// old ones instead of new ones.
fn take_panic(folder: &Path) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut panic = None;
    for path in entries.take(PSTORE_FILES_MAX) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("dmesg-") {
            let bytes = read_bytes(&path, PSTORE_BYTES_MAX).unwrap_or_default();
            panic = panic.or_else(|| panic_line(&String::from_utf8_lossy(&bytes)));
        }
        // It frees the record; a failure only means that the next one may not be kept.
        let _ = fs::remove_file(&path);
    }
    panic
}

fn panic_line(text: &str) -> Option<String> {
    let found = text.lines().find(|line| line.contains("Kernel panic"))?;
    let words = &found[found.find("Kernel panic")?..];
    let plain: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(sentence(&plain))
}

/// The judgement. `mark` is what the boot before left on DATA. Pure.
fn judge(survived: &Survived, mark: Option<&str>) -> LastEnd {
    let end = |kind, detail| LastEnd { kind, detail };
    let stuck = mark.and_then(|mark| mark.strip_prefix(STUCK)).map(sentence);
    match (&survived.panic, mark) {
        (Some(panic), _) => end(EndKind::Panic, Some(panic.clone())),
        (None, None) => end(EndKind::FirstBoot, None),
        (None, Some(ORDERLY)) => end(EndKind::Orderly, None),
        (None, Some(_)) if stuck.is_some() => end(EndKind::Watchdog, stuck),
        (None, Some(_)) if survived.watchdog_reset => end(EndKind::Watchdog, None),
        (None, Some(_)) => end(EndKind::PowerLost, None),
    }
}

/// The sentence for the owner, unless all was as it should be.
pub(crate) fn note(end: &LastEnd) -> Option<String> {
    let detail = end.detail.as_deref().unwrap_or("nothing more is known");
    match end.kind {
        EndKind::FirstBoot | EndKind::Orderly => None,
        EndKind::Panic => Some(format!("The last run ended with a kernel panic ({detail}).")),
        EndKind::Watchdog => Some(format!("The watchdog ended the last run ({detail}).")),
        EndKind::PowerLost => Some(
            "The last run ended without a farewell: the plug was pulled or the power failed. \
             Nothing that was confirmed is lost."
                .to_owned(),
        ),
    }
}

/// Init's own folder on DATA.
#[derive(Debug, Clone)]
pub(crate) struct Diary {
    folder: PathBuf,
}

impl Diary {
    /// Opens the folder of this boot: the log's tail of the boot before moves aside, and its end is
    /// judged. Errors leave this boot without evidence, never without a start.
    pub(crate) fn open(folder: &Path, survived: &Survived) -> io::Result<(Self, LastEnd)> {
        let diary = Self { folder: folder.to_owned() };
        fs::create_dir_all(folder)?;
        let end = judge(survived, read_text(diary.mark()).as_deref());
        match fs::rename(diary.tail(), folder.join("previous.log")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        diary.write_mark(RUNNING)?;
        Ok((diary, end))
    }

    /// The watchdog is about to reset the box, and why.
    pub(crate) fn stuck(&self, why: &str) -> io::Result<()> {
        self.write_mark(&format!("{STUCK}{why}"))
    }

    /// What was stuck moves again.
    pub(crate) fn unstuck(&self) -> io::Result<()> {
        self.write_mark(RUNNING)
    }

    /// The orderly end.
    pub(crate) fn ended(&self) -> io::Result<()> {
        self.write_mark(ORDERLY)
    }

    /// Notes the board that this card is in; a sentence when the boot before was in another one.
    pub(crate) fn meet_board(&self, serial: &str) -> io::Result<Option<String>> {
        let path = self.folder.join("board");
        let before = read_text(&path);
        if before.as_deref() == Some(serial) {
            return Ok(None);
        }
        replace_private(&path, format!("{serial}\n").as_bytes())?;
        Ok(before.map(|before| {
            let before = sentence(&before);
            format!(
                "This card was in another board before (serial number {before}, this one is \
                 {serial}). Its data was not touched and is served as it is."
            )
        }))
    }

    /// Stores the newest lines in place of those stored before.
    pub(crate) fn keep_tail(&self, logs: &Logs) -> io::Result<()> {
        let mut text = logs.tail(usize::MAX).join("\n");
        text.push('\n');
        replace_private(&self.tail(), text.as_bytes())
    }

    fn mark(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn tail(&self) -> PathBuf {
        self.folder.join("last.log")
    }

    fn write_mark(&self, text: &str) -> io::Result<()> {
        replace_private(&self.mark(), format!("{text}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, survived: &Survived) -> (Diary, EndKind) {
        let (diary, end) = Diary::open(folder, survived).unwrap();
        (diary, end.kind)
    }

    #[test]
    fn each_way_to_end_is_told_from_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let none = Survived::default();
        let (_, first) = open(folder.path(), &none);
        assert_eq!(first, EndKind::FirstBoot);
        let (diary, cut) = open(folder.path(), &none);
        assert_eq!(cut, EndKind::PowerLost);
        diary.ended().unwrap();
        let (diary, orderly) = open(folder.path(), &none);
        assert_eq!(orderly, EndKind::Orderly);
        diary.stuck("linnetd makes no progress").unwrap();
        let (diary, end) = Diary::open(folder.path(), &none).unwrap();
        assert_eq!(end.kind, EndKind::Watchdog);
        assert!(note(&end).unwrap().contains("no progress"));
        diary.stuck("x").unwrap();
        diary.unstuck().unwrap();
        assert_eq!(open(folder.path(), &none).1, EndKind::PowerLost);
        let reset = Survived { watchdog_reset: true, panic: None };
        assert_eq!(open(folder.path(), &reset).1, EndKind::Watchdog);
    }

    #[test]
    fn panic_of_pstore_is_taken_once_and_its_record_freed() {
        let pstore = tempfile::tempdir().unwrap();
        let text = "Panic#1 Part1\n<4>[ 9.1] something\n<0>[ 9.2] Kernel panic - not syncing: \
                    \u{1b}[2Jsysrq\n";
        fs::write(pstore.path().join("dmesg-ramoops-0"), text).unwrap();
        fs::write(pstore.path().join("pmsg-ramoops-0"), "old lines").unwrap();
        let survived = Survived { panic: take_panic(pstore.path()), watchdog_reset: true };
        assert_eq!(
            survived.panic.as_deref(),
            Some("Kernel panic - not syncing:  [2Jsysrq"),
            "no control characters"
        );
        assert_eq!(take_panic(pstore.path()), None);
        let folder = tempfile::tempdir().unwrap();
        let (_, kind) = open(folder.path(), &survived);
        assert_eq!(kind, EndKind::Panic);
    }

    #[test]
    fn card_that_moved_to_another_board_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let (diary, _) = open(folder.path(), &Survived::default());
        assert_eq!(diary.meet_board("10000000aaaaaaaa").unwrap(), None);
        assert_eq!(diary.meet_board("10000000aaaaaaaa").unwrap(), None);
        let note = diary.meet_board("10000000bbbbbbbb").unwrap().unwrap();
        assert!(note.contains("aaaaaaaa") && note.contains("bbbbbbbb"), "{note}");
        assert_eq!(diary.meet_board("10000000bbbbbbbb").unwrap(), None);
    }

    #[test]
    fn tail_is_bounded_and_that_of_the_boot_before_stays() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::default();
        (0..5_000).for_each(|number| logs.say(&format!("{number} {}", "x".repeat(300))));
        let (diary, _) = open(folder.path(), &Survived::default());
        diary.keep_tail(&logs).unwrap();
        let bytes = fs::metadata(diary.tail()).unwrap().len();
        assert!(bytes > 10_000 && bytes <= 64 * 1024, "{bytes}");
        open(folder.path(), &Survived::default());
        let kept = fs::read_to_string(folder.path().join("previous.log")).unwrap();
        assert!(kept.lines().last().unwrap().contains(" 4999 "), "{kept}");
    }
}
