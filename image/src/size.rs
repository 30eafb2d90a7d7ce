//! What takes how much room: every file of the root and of the boot partitions, largest first, and
//! the totals beside their budgets.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::audit::collect;
use crate::boot::BootParts;
use crate::layout::MIB;
use crate::manifest::Manifest;

/// Lines of the report for people; the JSON has all.
const LINES_MAX: usize = 25;

/// One file, in bytes before compression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub file: String,
    pub bytes: u64,
}

/// A total and what it may be, both in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    pub what: &'static str,
    pub bytes: u64,
    pub budget_bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub version: String,
    pub totals: Vec<Total>,
    pub files: Vec<Entry>,
}

impl Report {
    /// Looks through the staged root and the boot files.
    pub fn gather(version: &str, root: &Path, parts: &BootParts) -> Result<Self> {
        let mut names = Vec::new();
        collect(root, "", &mut names)?;
        let mut files = Vec::new();
        for file in names {
            let bytes = fs::symlink_metadata(root.join(&file))?.len();
            files.push(Entry { file: format!("/{file}"), bytes });
        }
        for (name, bytes) in &parts.files {
            files.push(Entry { file: format!("boot: {name}"), bytes: bytes.len() as u64 });
        }
        files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.file.cmp(&b.file)));
        Ok(Self { version: version.to_owned(), totals: Vec::new(), files })
    }

    /// Adds the sizes that have a budget.
    pub fn weigh(&mut self, manifest: &Manifest, root_bytes: u64, compressed_bytes: u64) {
        let budget = &manifest.budget;
        self.totals = vec![
            Total {
                what: "compressed image",
                bytes: compressed_bytes,
                budget_bytes: budget.release_compressed_mib * MIB,
            },
            Total {
                what: "root file system",
                bytes: root_bytes,
                budget_bytes: budget.release_root_mib * MIB,
            },
        ];
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("Linnet {}: sizes\n\n", self.version);
        for Total { what, bytes, budget_bytes } in &self.totals {
            let (size, budget) = (mib(*bytes), mib(*budget_bytes));
            writeln!(text, "{size:>8.2} MiB of {budget:.0} MiB  {what}").expect("a String");
        }
        text += "\nLargest files, before compression:\n";
        for Entry { file, bytes } in self.files.iter().take(LINES_MAX) {
            writeln!(text, "{:>8.2} MiB  {file}", mib(*bytes)).expect("a String");
        }
        let rest: u64 = self.files.iter().skip(LINES_MAX).map(|entry| entry.bytes).sum();
        let count = self.files.len().saturating_sub(LINES_MAX);
        writeln!(text, "{:>8.2} MiB  {count} smaller files", mib(rest)).expect("a String");
        text
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_totals_stand_beside_their_budgets() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("usr")).unwrap();
        fs::write(folder.path().join("usr/small"), [0; 10]).unwrap();
        let files = [("kernel8.img".to_owned(), vec![0; 2 << 20])].into();
        let parts = BootParts { files, cmdline: String::new() };
        let mut report = Report::gather("1.2.3", folder.path(), &parts).unwrap();
        report.weigh(&Manifest::load().unwrap(), 3 << 20, 5 << 20);
        let names: Vec<_> = report.files.iter().map(|entry| entry.file.as_str()).collect();
        assert_eq!(names, ["boot: kernel8.img", "/usr/small"]);
        let text = report.text();
        assert!(text.contains("    5.00 MiB of 24 MiB  compressed image"), "{text}");
        assert!(text.contains("    2.00 MiB  boot: kernel8.img"), "{text}");
    }
}
