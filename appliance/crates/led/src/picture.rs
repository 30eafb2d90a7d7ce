//! The code list as a picture (SVG), drawn from the pattern tables, for the README. Pure; nothing
//! on the box calls it.

use std::fmt::Write;

use crate::{Pattern, Status};

/// The longest code twice, or the shortest many times.
const SHOWN_MS: u64 = 6_000;
const MS_PER_DOT: u64 = 15;
const NAME_AT: u64 = 20;
const BARS_AT: u64 = 205;
const MEANING_AT: u64 = BARS_AT + SHOWN_MS / MS_PER_DOT + 25;
const WIDTH: u64 = MEANING_AT + 340;
const TOP: u64 = 46;
const ROW: u64 = 30;
const BAR: u64 = 14;

/// The whole file. It has a background of its own, so that it can be read on a light and on a dark
/// page.
pub fn picture() -> String {
    let height = TOP + ROW * Status::ALL.len() as u64 + 12;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"14\">\n\
         <title>What the status LED says</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"#1c2128\"/>\n"
    );
    axis(&mut svg, height);
    for (status, row) in Status::ALL.into_iter().zip(0..) {
        draw(&mut svg, status, TOP + row * ROW);
    }
    svg + "</svg>\n"
}

/// A line for every second.
fn axis(svg: &mut String, height: u64) {
    for second in 0..=SHOWN_MS / 1_000 {
        let x = BARS_AT + second * 1_000 / MS_PER_DOT;
        put(
            svg,
            format_args!(
                "<path d=\"M{x} 34V{}\" stroke=\"#444c56\"/>\
                 <text x=\"{x}\" y=\"26\" text-anchor=\"middle\" fill=\"#909dab\" \
                 font-size=\"12\">{second} s</text>",
                height - 10
            ),
        );
    }
}

fn draw(svg: &mut String, status: Status, y: u64) {
    let base = y + BAR - 2;
    let meaning = status.meaning();
    put(svg, format_args!("<text x=\"{NAME_AT}\" y=\"{base}\" fill=\"#e6edf3\">{status}</text>"));
    for (from, until) in lit(status.pattern()) {
        let (x, width) = (BARS_AT as f64 + dots(from), dots(until - from));
        put(
            svg,
            format_args!(
                "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" \
                 fill=\"#57d364\"/>"
            ),
        );
    }
    put(
        svg,
        format_args!("<text x=\"{MEANING_AT}\" y=\"{base}\" fill=\"#adbac7\">{meaning}</text>"),
    );
}

fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(svg, "{line}").expect("a String takes everything");
}

fn dots(ms: u64) -> f64 {
    ms as f64 / MS_PER_DOT as f64
}

/// When the LED is on, in milliseconds: from, until.
fn lit(pattern: Pattern) -> Vec<(u64, u64)> {
    let (mut spans, mut at) = (Vec::new(), 0);
    while at < SHOWN_MS {
        let until = SHOWN_MS.min(at + pattern.next_edge_in_ms(at));
        if pattern.level(at) {
            spans.push((at, until));
        }
        at = until;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_beside_the_sources_shows_these_patterns() {
        let drawn = include_str!("../patterns.svg");
        let hint =
            "run `cargo run -p linnet-led --example picture > appliance/crates/led/patterns.svg`";
        assert!(drawn == picture(), "patterns.svg is old; {hint}");
    }

    #[test]
    fn what_is_lit_in_the_picture_is_lit_on_the_board() {
        for status in Status::ALL {
            let spans = lit(status.pattern());
            for at in 0..SHOWN_MS {
                let drawn = spans.iter().any(|(from, until)| (*from..*until).contains(&at));
                assert_eq!(drawn, status.pattern().level(at), "{status} at {at}");
            }
            assert!(spans.len() >= 2, "{status}: one repetition can be seen");
        }
    }

    #[test]
    fn every_code_is_named_and_explained_in_the_picture() {
        let picture = picture();
        for status in Status::ALL {
            assert!(picture.contains(&format!(">{status}<")), "{status}");
            assert!(picture.contains(&format!(">{}<", status.meaning())), "{status}");
            assert!(!status.meaning().contains(['<', '&']), "{status}");
        }
    }
}
