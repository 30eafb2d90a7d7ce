//! Cuts an XML stream into its stanzas: the elements right below `<stream:stream>`.
//!
//! Servers send no comments, no CDATA and no `>` in attributes to a client like ours.

/// Bytes of a stream that are no stanza yet.
#[derive(Debug, Default)]
pub(super) struct Stanzas {
    bytes: Vec<u8>,
    /// Bytes that were looked at.
    seen: usize,
    /// Elements open at `seen`, the stream not counted.
    depth: usize,
    /// Where the stanza begins.
    start: usize,
}

impl Stanzas {
    pub(super) fn push(&mut self, input: &[u8]) {
        self.bytes.extend_from_slice(input);
    }

    /// A new stream begins inside the old one, as after signing in.
    pub(super) fn restart(&mut self) {
        (self.depth, self.start) = (0, self.seen);
    }

    /// The next complete stanza.
    pub(super) fn next_stanza(&mut self) -> Option<Vec<u8>> {
        while let Some((open, end)) = self.next_tag() {
            let tag = &self.bytes[open..end];
            self.seen = end;
            let is_prolog = tag.starts_with(b"<?") || tag.starts_with(b"<stream:stream");
            if is_prolog || tag.starts_with(b"</stream:stream") {
                continue;
            }
            let (is_end, is_empty) = (tag.starts_with(b"</"), tag.ends_with(b"/>"));
            if self.depth == 0 {
                self.start = open;
            }
            match (is_end, is_empty) {
                (true, _) => self.depth = self.depth.saturating_sub(1),
                (false, true) => {}
                (false, false) => self.depth += 1,
            }
            if self.depth == 0 {
                let stanza = self.bytes[self.start..end].to_vec();
                self.bytes.drain(..end);
                (self.seen, self.start) = (0, 0);
                return Some(stanza);
            }
        }
        None
    }

    /// Start and end of the next complete tag.
    fn next_tag(&self) -> Option<(usize, usize)> {
        let open = self.seen + self.bytes[self.seen..].iter().position(|byte| *byte == b'<')?;
        let close = self.bytes[open..].iter().position(|byte| *byte == b'>')?;
        Some((open, open + close + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_cut_whatever_the_pieces() {
        let stanzas = ["<a/>", "<b c='d'>text<e/><f>more</f></b>", "<g></g>"];
        let stream = format!("<?xml version='1.0'?><stream:stream id='1'> {}", stanzas.join(" "));
        for size in 1..=stream.len() {
            let (mut cutter, mut found) = (Stanzas::default(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                cutter.push(piece);
                while let Some(stanza) = cutter.next_stanza() {
                    found.push(String::from_utf8(stanza).unwrap());
                }
            }
            assert_eq!(found, stanzas, "pieces of {size}");
        }
    }
}
