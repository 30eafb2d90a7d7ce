//! `autoboot.txt` and `config.txt`: `key=value` lines under filters in brackets (pure).

use std::collections::HashMap;

/// The settings that apply to this board and this boot; a later line wins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings(HashMap<String, String>);

impl Settings {
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// Reads the lines that apply to a Pi 4 with this one-shot flag.
pub(super) fn parse(text: &str, tryboot: bool) -> Settings {
    let mut settings = HashMap::new();
    let mut applies = true;
    for line in text.lines().map(str::trim) {
        if let Some(filter) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            applies = filter_applies(filter, tryboot);
        } else if applies && !line.starts_with('#') {
            let pair = line.split_once('=').or_else(|| line.split_once(' '));
            if let Some((key, value)) = pair {
                settings.insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
    Settings(settings)
}

/// A filter that is not known names other hardware and does not apply.
fn filter_applies(filter: &str, tryboot: bool) -> bool {
    match filter {
        "all" | "pi4" => true,
        "tryboot" => tryboot,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_selects_the_tryboot_section() {
        let text = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n\n\n";
        assert_eq!(parse(text, false).value("boot_partition"), Some("2"));
        assert_eq!(parse(text, true).value("boot_partition"), Some("3"));
        assert_eq!(parse(text, true).value("tryboot_a_b"), Some("1"));
    }

    #[test]
    fn sections_for_other_boards_and_comments_are_skipped() {
        let text = "kernel=a\n#kernel=b\n[pi5]\nkernel=c\n[none]\nkernel=d\n[pi4]\narm_64bit=1\n";
        let settings = parse(text, false);
        assert_eq!(settings.value("kernel"), Some("a"));
        assert_eq!(settings.value("arm_64bit"), Some("1"));
    }

    #[test]
    fn initramfs_is_written_without_an_equals_sign() {
        let settings = parse("initramfs initramfs.img followkernel\n", false);
        assert_eq!(settings.value("initramfs"), Some("initramfs.img followkernel"));
    }
}
