//! The machine's apt sources, read in both formats, and what is derived from them (pure but for the
//! reading of `/etc/apt`).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One archive the machine already trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    pub uri: String,
    pub suites: Vec<String>,
    /// Path of a keyring, or nothing where the machine's trusted keys apply.
    pub signed_by: Option<String>,
}

/// What the derived sources carry besides the release itself.
#[derive(Debug, Clone, Copy)]
pub struct Suites<'a> {
    /// `bookworm`.
    pub codename: &'a str,
    /// `main non-free-firmware`.
    pub components: &'a str,
    pub backports: bool,
    /// Source packages as well.
    pub sources: bool,
}

/// Reads `/etc/apt/sources.list` and `/etc/apt/sources.list.d`.
pub fn machine_sources(etc_apt: &Path) -> Result<Vec<Archive>> {
    let mut archives = Vec::new();
    let list = etc_apt.join("sources.list");
    if list.is_file() {
        archives.extend(parse_list(&fs::read_to_string(list)?));
    }
    let folder = etc_apt.join("sources.list.d");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let text = || fs::read_to_string(&path).with_context(|| path.display().to_string());
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => archives.extend(parse_list(&text()?)),
            Some("sources") => archives.extend(parse_deb822(&text()?)),
            _ => {}
        }
    }
    Ok(archives)
}

/// Sources for the machine's own release from the archives it already uses, plus backports.
pub fn derive(archives: &[Archive], want: Suites<'_>) -> Result<String> {
    let release = archives.iter().find(|archive| archive.carries(want.codename));
    let Some(release) = release else {
        bail!(
            "no apt source of this machine carries {}; the emulator's parts come from that archive",
            want.codename
        );
    };
    let mut suites = vec![want.codename.to_owned(), format!("{}-updates", want.codename)];
    if want.backports {
        suites.push(format!("{}-backports", want.codename));
    }
    let mut text = stanza(release, &suites, want);
    let security = format!("{}-security", want.codename);
    if let Some(archive) = archives.iter().find(|archive| archive.carries(&security)) {
        text += &stanza(archive, &[security], want);
    }
    Ok(text)
}

impl Archive {
    fn carries(&self, suite: &str) -> bool {
        self.suites.iter().any(|own| own == suite)
    }
}

fn stanza(archive: &Archive, suites: &[String], want: Suites<'_>) -> String {
    let key = archive.signed_by.as_ref();
    let signed_by = key.map(|path| format!("Signed-By: {path}\n")).unwrap_or_default();
    let (uri, suites, components) = (&archive.uri, suites.join(" "), want.components);
    let types = if want.sources { "deb deb-src" } else { "deb" };
    format!(
        "Types: {types}\nURIs: {uri}\nSuites: {suites}\nComponents: {components}\n{signed_by}\n"
    )
}

/// `deb [signed-by=KEY arch=amd64] URI SUITE COMPONENT...`
fn parse_list(text: &str) -> Vec<Archive> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Archive> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
    let rest = rest.starts_with([' ', '\t']).then(|| rest.trim_start())?;
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    Some(Archive {
        uri: words.next()?.to_owned(),
        suites: vec![words.next()?.to_owned()],
        signed_by: key.map(str::to_owned),
    })
}

/// Stanzas of `Key: value` lines; one stanza may name several URIs and suites.
fn parse_deb822(text: &str) -> Vec<Archive> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let stanzas = lines.split(|line| line.trim().is_empty());
    stanzas.filter(|stanza| !stanza.is_empty()).flat_map(parse_stanza).collect()
}

fn parse_stanza(lines: &[&str]) -> Vec<Archive> {
    let field = |name: &str| {
        lines.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let binary = field("Types").is_some_and(|types| types.split_whitespace().any(|t| t == "deb"));
    if !binary || field("Enabled").is_some_and(|enabled| enabled == "no") {
        return Vec::new();
    }
    let words = |text: Option<&str>| -> Vec<String> {
        text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    // An empty value means that the key itself follows in the stanza; apt finds the machine's keys.
    let signed_by = field("Signed-By").filter(|path| path.starts_with('/')).map(str::to_owned);
    let archive =
        |uri| Archive { uri, suites: words(field("Suites")), signed_by: signed_by.clone() };
    words(field("URIs")).into_iter().map(archive).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "Types: deb deb-src\n# a comment\nURIs: http://mirror.test/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/k.gpg\n\n\
        Types: deb\nURIs: http://mirror.test/security\nSuites: bookworm-security\n\
        Components: main\n\nTypes: deb\nURIs: http://off.test\nSuites: bookworm\nEnabled: no\n";

    fn want(backports: bool) -> Suites<'static> {
        Suites {
            codename: "bookworm",
            components: "main non-free-firmware",
            backports,
            sources: false,
        }
    }

    #[test]
    fn deb822_stanzas_give_backports_at_the_same_mirror_with_the_same_key() {
        let archives = parse_deb822(DEB822);
        assert_eq!(archives.len(), 2);
        let text = derive(&archives, want(true)).unwrap();
        assert!(text.contains("URIs: http://mirror.test/debian\n"));
        assert!(text.contains("Suites: bookworm bookworm-updates bookworm-backports\n"));
        assert!(text.contains("Signed-By: /usr/share/k.gpg\n"));
        assert!(text.contains("URIs: http://mirror.test/security\nSuites: bookworm-security\n"));
        assert!(!text.contains("off.test"));
    }

    #[test]
    fn one_line_sources_are_read_with_their_options() {
        let text = "# deb http://no.test bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian bookworm main # why\n\
            deb-src http://src.test bookworm main\n";
        let archives = parse_list(text);
        let expected = Archive {
            uri: "http://mirror.test/debian".into(),
            suites: vec!["bookworm".into()],
            signed_by: Some("/k.gpg".into()),
        };
        assert_eq!(archives, [expected]);
        assert!(!derive(&archives, want(false)).unwrap().contains("backports"));
    }

    #[test]
    fn a_machine_without_the_release_among_its_sources_gets_a_sentence() {
        let error = derive(&[], want(true)).unwrap_err();
        assert!(error.to_string().contains("bookworm"));
    }
}
