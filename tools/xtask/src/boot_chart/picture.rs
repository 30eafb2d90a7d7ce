//! The stages of a boot as a picture (SVG): one bar a stage, from the one before it.

use std::fmt::Write;

/// One stage over all boots, in milliseconds after the kernel's start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) median_ms: i64,
    pub(super) least_ms: i64,
    pub(super) most_ms: i64,
}

const WIDTH: i64 = 900;
const LEFT: i64 = 260;
const RIGHT: i64 = 40;
const ROW: i64 = 34;
const TOP: i64 = 50;

/// Bars run from the median of the stage before to the stage's own; a line shows least and most.
pub(super) fn draw(rows: &[Row<'_>], goal_ms: i64) -> String {
    let most = rows.iter().map(|row| row.most_ms).max().unwrap_or(0).max(goal_ms);
    let x = |ms: i64| LEFT + ms.max(0) * (WIDTH - LEFT - RIGHT) / most.max(1);
    let height = TOP + ROW * rows.len() as i64 + 30;
    let mut svg = String::new();
    let mut add = |text: String| writeln!(svg, "{text}").expect("a string takes everything");
    add(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">"
    ));
    add(format!("<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>"));
    add("<text x=\"12\" y=\"26\" font-size=\"16\">From the kernel's start to the setup page \
         (medians; thin lines: least and most)</text>"
        .to_owned());
    let goal = x(goal_ms);
    let (from, to) = (TOP - 12, height - 24);
    add(format!(
        "<path d=\"M{goal} {from}V{to}\" stroke=\"#b3261e\" stroke-dasharray=\"4 3\"/>\
         <text x=\"{goal}\" y=\"{}\" text-anchor=\"end\" fill=\"#b3261e\">goal {goal_ms} ms</text>",
        height - 8
    ));
    let mut before = 0;
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + ROW * index as i64;
        let (left, right) = (x(before.min(row.median_ms)), x(row.median_ms));
        let (width, middle) = ((right - left).max(2), y + 10);
        let (least, most) = (x(row.least_ms), x(row.most_ms));
        add(format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 10,
            y + 15,
            row.name
        ));
        add(format!(
            "<rect x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"20\" fill=\"#3f7d58\"/>"
        ));
        add(format!("<path d=\"M{least} {middle}H{most}\" stroke=\"#1c1c1c\"/>"));
        add(format!(
            "<text x=\"{}\" y=\"{}\">{}</text>",
            right.max(most) + 6,
            y + 15,
            row.median_ms
        ));
        before = before.max(row.median_ms);
    }
    add("</svg>".to_owned());
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_its_bar_and_its_number() {
        let row = |name, median_ms| Row {
            name,
            median_ms,
            least_ms: median_ms - 1,
            most_ms: median_ms + 9,
        };
        let svg = draw(&[row("one", 100), row("two", 250)], 5000);
        for part in [">one<", ">two<", ">100<", ">250<", "goal 5000 ms"] {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(svg.matches("<rect").count(), 3, "the paper and two bars");
    }
}
