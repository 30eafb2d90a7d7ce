//! SVG plots of the tables that have several points.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::experiment::Finding;
use super::loads::Measure;
use super::results::series;

/// Width and height in pixels.
const SIZE: (u32, u32) = (960, 480);

/// How far the horizontal axis goes beyond the last point, so that the legend covers no line.
const ROOM_FOR_LEGEND: f64 = 1.4;

struct Plot {
    file: &'static str,
    title: &'static str,
    name: &'static str,
    measure: Measure,
    x: &'static str,
    y: &'static str,
    /// What one unit of the measure is on the axis.
    scale: f64,
}

const PLOTS: [Plot; 3] = [
    Plot {
        file: "throughput-by-connections.svg",
        title: "Deliveries a second by members of the room, 10 messages in flight",
        name: "connections",
        measure: Measure::DeliveriesPerSecond,
        x: "members connected",
        y: "1,000 deliveries/s",
        scale: 1e-3,
    },
    Plot {
        file: "latency-by-load.svg",
        title: "99th percentile of delivery by load, 200 pairs",
        name: "load",
        measure: Measure::DeliveryP99,
        x: "messages/s",
        y: "ms",
        scale: 1e-3,
    },
    Plot {
        file: "memory-by-sessions.svg",
        title: "Memory for each idle session, kernel included",
        name: "idle",
        measure: Measure::BytesPerSession,
        x: "sessions",
        y: "KB per session",
        scale: 1e-3,
    },
];

/// Draws all plots that have points; title and file of each.
pub(super) fn write(folder: &Path, findings: &[Finding]) -> Result<Vec<(String, String)>> {
    std::fs::create_dir_all(folder)?;
    let mut drawn = Vec::new();
    for plot in &PLOTS {
        let lines = series(findings, plot.name, plot.measure);
        if lines.is_empty() {
            continue;
        }
        let path = folder.join(plot.file);
        draw(plot, &path, &lines).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        drawn.push((plot.title.to_owned(), plot.file.to_owned()));
    }
    Ok(drawn)
}

type Lines = [(String, Vec<(f64, f64)>)];

fn draw(plot: &Plot, path: &Path, lines: &Lines) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let x_max = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let y_max = points().map(|(_, y)| y * plot.scale).fold(f64::MIN_POSITIVE, f64::max);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(plot.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..x_max * ROOM_FOR_LEGEND, 0.0..y_max * 1.1)?;
    let whole = |value: &f64| format!("{value:.0}");
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(plot.x).y_desc(plot.y).light_line_style(WHITE);
    mesh.x_label_formatter(&whole).y_label_formatter(&whole).draw()?;
    for (number, (label, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let scaled: Vec<(f64, f64)> = points.iter().map(|(x, y)| (*x, y * plot.scale)).collect();
        chart
            .draw_series(LineSeries::new(scaled.clone(), color.stroke_width(2)).point_size(3))?
            .label(label.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_its_lines_and_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.svg");
        let line = |label: &str| (label.to_owned(), vec![(100.0, 2_000.0), (200.0, 3_000.0)]);
        draw(&PLOTS[1], &path, &[line("Linnet"), line("NATS")]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.matches("<polyline").count() >= 2, "{text}");
        assert!(text.contains("Linnet") && text.contains("messages/s"));
    }
}
