//! Counts tests from the closing lines of the runners we use.

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Adds what a line tells, if it is a closing line of cargo test, Vitest or Playwright.
    pub(super) fn read(&mut self, line: &str) {
        let line = without_colours(line);
        let line = line.trim();
        if line.starts_with("test result:") || line.starts_with("Tests ") {
            self.passed += number_before(line, "passed");
            self.failed += number_before(line, "failed");
        } else if let Some((count, rest)) = line.split_once(' ')
            && let Ok(count) = count.parse::<u64>()
        {
            // Playwright prints `12 passed (34.5s)` and `1 failed` on lines of their own.
            match rest.split_once(' ').map_or(rest, |(word, _)| word) {
                "passed" if rest.starts_with("passed (") => self.passed += count,
                "failed" if rest == "failed" => self.failed += count,
                _ => {}
            }
        }
    }
}

fn number_before(line: &str, word: &str) -> u64 {
    let mut previous = "";
    for part in line.split([' ', ';', '.', '|', ',']) {
        if part == word {
            return previous.parse().unwrap_or(0);
        }
        if !part.is_empty() {
            previous = part;
        }
    }
    0
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> (u64, u64) {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(line));
        (tally.passed, tally.failed)
    }

    #[test]
    fn closing_lines_of_all_runners_are_counted() {
        let cargo = "test result: FAILED. 13 passed; 2 failed; 0 ignored; 0 measured";
        let vitest = "\u{1b}[2m      Tests \u{1b}[22m 1 failed | 40 passed (41)";
        assert_eq!(tally(&[cargo, vitest]), (53, 3));
        assert_eq!(
            tally(&["  12 passed (34.5s)", "  1 failed", "    [chromium] 3 failed x"]),
            (12, 1)
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(tally(&["running 3 tests", "7 passed, 0 failed", "200 seeds passed"]), (0, 0));
    }
}
