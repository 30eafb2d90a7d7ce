//! The story of a run: hashed always, printed on demand. Same seed, same hash.

/// Collects lines.
#[derive(Debug)]
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    print: bool,
    pub(crate) lines: u64,
}

impl Trace {
    pub(crate) fn new(print: bool) -> Self {
        Self { hasher: blake3::Hasher::new(), print, lines: 0 }
    }

    pub(crate) fn line(&mut self, now: u64, text: &str) {
        if self.print {
            println!("{now:>7} {text}");
        }
        self.hasher.update(&now.to_le_bytes());
        self.hasher.update(text.as_bytes());
        self.lines += 1;
    }

    pub(crate) fn hash(&self) -> u64 {
        let bytes = *self.hasher.finalize().as_bytes();
        bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}
