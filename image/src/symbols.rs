//! Kconfig: what was asked for against what came out. Kconfig drops a line whose dependencies are
//! not met without a word; a driver that is silently missing shows only on a board.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// Symbols with their values; `n` for "is not set".
pub type Symbols = BTreeMap<String, String>;

/// Reads a configuration or a fragment of one. A symbol that is named twice is an error.
pub fn parse(text: &str) -> Result<Symbols> {
    let mut symbols = Symbols::new();
    for (number, line) in text.lines().enumerate() {
        let Some((name, value)) = assignment(line) else { continue };
        if let Some(earlier) = symbols.insert(name.to_owned(), value.to_owned()) {
            let line = number + 1;
            bail!("line {line}: {name} was {earlier} before and is {value} now; name it once");
        }
    }
    Ok(symbols)
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix("# ") {
        return Some((rest.strip_suffix(" is not set")?, "n")).filter(|(name, _)| is_name(name));
    }
    line.split_once('=').filter(|(name, _)| is_name(name))
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (text.starts_with("CONFIG_") || text.starts_with("BR2_")) && text.chars().all(plain)
}

/// Compares; the error names every symbol that did not survive and what became of it.
pub fn survived(wanted: &Symbols, result: &Symbols) -> Result<()> {
    let value = |name: &String| result.get(name).map_or("n", String::as_str);
    let lost: Vec<_> = wanted
        .iter()
        .filter(|(name, wanted)| value(name) != wanted.as_str())
        .map(|(name, wanted)| format!("{name}: asked for {wanted}, got {}", value(name)))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    bail!(
        "Kconfig did not take {} of {} symbols; a dependency or the name is wrong:\n  {}",
        lost.len(),
        wanted.len(),
        lost.join("\n  ")
    )
}

/// Both steps on files; returns how many symbols were compared.
pub fn check(wanted: &std::path::Path, result: &std::path::Path) -> Result<usize> {
    let read = |path: &std::path::Path| {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        parse(&text).with_context(|| path.display().to_string())
    };
    let wanted = read(wanted)?;
    survived(&wanted, &read(result)?)?;
    Ok(wanted.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_configuration_are_read_and_prose_is_not() {
        let text = "# CONFIG_A is not set\n# what is not set here\nCONFIG_B=y\nCONFIG_C=\"x=1\"\n";
        let symbols = parse(text).unwrap();
        let pairs: Vec<_> = symbols.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("CONFIG_A", "n"), ("CONFIG_B", "y"), ("CONFIG_C", "\"x=1\"")]);
    }

    #[test]
    fn a_symbol_that_is_named_twice_is_an_error() {
        let error = parse("CONFIG_A=y\n# CONFIG_A is not set\n").unwrap_err().to_string();
        assert!(error.contains("line 2: CONFIG_A"), "{error}");
    }

    #[test]
    fn a_dropped_symbol_is_named_and_an_absent_one_counts_as_not_set() {
        let wanted = parse("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=m\n").unwrap();
        survived(&wanted, &parse("CONFIG_A=y\nCONFIG_C=m\n").unwrap()).unwrap();
        let error = survived(&wanted, &parse("CONFIG_B=y\nCONFIG_C=y\n").unwrap()).unwrap_err();
        let text = error.to_string();
        for line in ["3 of 3", "CONFIG_A: asked for y, got n", "CONFIG_B: asked for n, got y"] {
            assert!(text.contains(line), "{text}");
        }
    }
}
