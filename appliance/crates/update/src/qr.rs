//! A QR code drawn in text, for terminals, serial lines and the box's own screen. Pure.
//!
//! Two modules share a character. Only the three block characters and the space are used, which
//! every font of the kernel's console has; colours are set, as the background may be any.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code (ISO/IEC 18004, quiet zone).
const MARGIN: i32 = 4;
/// Bright white on black: blocks are the light modules.
const COLOURS: &str = "\u{1b}[0;97;40m";
const PLAIN: &str = "\u{1b}[0m";

/// The lines of the drawing, each with its colours; `None` when the text is too long for a code.
/// A claim link takes 21 lines of 41 characters at most.
pub fn lines(text: &str) -> Option<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let end = code.size() + MARGIN;
    let rows = (-MARGIN..end).step_by(2);
    Some(rows.map(|y| format!("{COLOURS}{}{PLAIN}", row(&code, y, end))).collect())
}

fn row(code: &QrCode, y: i32, end: i32) -> String {
    // Outside the code modules count as light; below the margin nothing is drawn.
    let light = |x, y| y < end && !code.get_module(x, y);
    let character = |x| match (light(x, y), light(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    (-MARGIN..end).map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::ClaimToken;

    /// Dots of a camera's picture for each module.
    const SCALE: usize = 4;

    /// What a terminal with these colours shows, read by a decoder that shares no code.
    fn decoded(lines: &[String]) -> String {
        let rows: Vec<(Vec<bool>, Vec<bool>)> = lines.iter().map(|line| halves(line)).collect();
        let rows: Vec<Vec<bool>> = rows.into_iter().flat_map(|(top, low)| [top, low]).collect();
        let (width, height) = (rows[0].len() * SCALE, rows.len() * SCALE);
        let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            if rows[y / SCALE][x / SCALE] { 255 } else { 0 }
        });
        let grids = picture.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    /// The upper and the lower dots of a line; true is light.
    fn halves(line: &str) -> (Vec<bool>, Vec<bool>) {
        let blocks = line.strip_prefix(COLOURS).unwrap().strip_suffix(PLAIN).unwrap();
        let dots = |character| match character {
            '█' => (true, true),
            '▀' => (true, false),
            '▄' => (false, true),
            ' ' => (false, false),
            other => panic!("{other:?} is not in every console's font"),
        };
        blocks.chars().map(dots).unzip()
    }

    #[test]
    fn what_is_drawn_reads_back_and_fits_a_terminal() {
        for host in ["10.0.0.1", "192.168.178.123", "linnet.local", &"x".repeat(63)] {
            let link = ClaimToken::from_random([0xa5; 16]).link(host);
            let lines = lines(&link).unwrap();
            assert_eq!(decoded(&lines), link);
            let columns = halves(&lines[0]).0.len();
            let fits = (lines.len() <= 21 && columns <= 41) || host.len() > 40;
            assert!(fits, "{host}: {} lines of {columns}", lines.len());
        }
    }

    #[test]
    fn text_that_no_code_holds_is_not_drawn() {
        assert_eq!(lines(&"x".repeat(3000)), None);
    }
}
