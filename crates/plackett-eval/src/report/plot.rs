//! The report's plots as SVG without colours of their own: shades that no palette uses stand in for the page's colours,
//! so that one plot serves light and dark.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Plots that failed to draw, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a plot could not be drawn: {0}")]
pub struct PlotError(String);

/// The points of one line, from left to right.
pub type Line = Vec<(f64, f64)>;

/// How the horizontal axis is labelled.
pub struct Axis<'a> {
    /// What is on it.
    pub name: &'a str,
    /// Labels at places; a place has no label where this gives none.
    pub labels: Vec<(f64, String)>,
}

/// Width and height of a plot beside another one, and of one alone.
const HALF: (u32, u32) = (560, 330);
const WHOLE: (u32, u32) = (1120, 300);
const TEXT: RGBColor = RGBColor(3, 3, 3);
const GRID: RGBColor = RGBColor(4, 4, 4);
const GAIN: RGBColor = RGBColor(5, 5, 5);
const LOSS: RGBColor = RGBColor(6, 6, 6);

/// Number of line colours on the page.
const COLOURS: usize = 8;

fn colour(series: usize) -> RGBColor {
    RGBColor(1, 2, (series % COLOURS) as u8)
}

/// Lines with points over a labelled axis; values from 0 to `top`.
pub fn lines(series: &[Line], axis: &Axis<'_>, value: &str, top: f64) -> Result<String, PlotError> {
    let left = axis.labels.first().map_or(0.0, |label| label.0);
    let right = axis.labels.last().map_or(1.0, |label| label.0).max(left + 1e-9);
    draw(HALF, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(54)
            .build_cartesian_2d(left..right, 0.0..top)
            .map_err(reason)?;
        frame(area, &mut chart, axis, value)?;
        for (place, series) in series.iter().enumerate() {
            let colour = colour(place);
            chart
                .draw_series(LineSeries::new(series.iter().copied(), colour.stroke_width(2)))
                .map_err(reason)?;
            let dots = series.iter().map(|&point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(dots).map_err(reason)?;
        }
        Ok(())
    })
}

/// A curve over 1 to `points.len()`, which `name` says the kind of, on a scale from the least to the greatest value: thinned to what a page shows, each
/// point the mean of its neighbours.
pub fn curve(points: &[f64], name: &str, value: &str) -> Result<String, PlotError> {
    const MOST: usize = 500;
    let size = points.len().div_ceil(MOST).max(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let line: Line =
        points.chunks(size).enumerate().map(|(at, part)| ((at * size) as f64 + 1.0, mean(part))).collect();
    let most = line.iter().map(|point| point.1).fold(f64::MIN, f64::max);
    let least = line.iter().map(|point| point.1).fold(f64::MAX, f64::min).min(0.0);
    let right = (points.len() as f64).max(2.0);
    let axis = Axis { name, labels: vec![(1.0, "1".into()), (right, points.len().to_string())] };
    draw(HALF, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(54)
            .build_cartesian_2d(1.0..right, least..(most * 1.06).max(least + 1e-9))
            .map_err(reason)?;
        frame(area, &mut chart, &axis, value)?;
        chart.draw_series(LineSeries::new(line, colour(0).stroke_width(2))).map_err(reason)?;
        Ok(())
    })
}

/// Differences by query as bars, sorted downwards. Each bar says the name of its query and its value to whoever points at it.
pub fn differences(sorted: &[(String, f64)], measure: &str) -> Result<String, PlotError> {
    let most = sorted.iter().map(|bar| bar.1).fold(1e-3_f64, f64::max) * 1.06;
    let least = sorted.iter().map(|bar| bar.1).fold(-1e-3_f64, f64::min) * 1.06;
    let n = sorted.len() as f64;
    let axis = Axis {
        name: "queries, from the most gained to the most lost",
        labels: vec![(0.0, "1".into()), (n, sorted.len().to_string())],
    };
    let svg = draw(WHOLE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(54)
            .build_cartesian_2d(0.0..n, least..most)
            .map_err(reason)?;
        frame(area, &mut chart, &axis, &format!("difference in {measure}"))?;
        let gap = if sorted.len() > 150 { 0.0 } else { 0.12 };
        let bars = sorted.iter().enumerate().map(|(place, &(_, difference))| {
            let colour = if difference >= 0.0 { GAIN } else { LOSS };
            let place = place as f64;
            Rectangle::new([(place + gap, 0.0), (place + 1.0 - gap, difference)], colour.filled())
        });
        chart.draw_series(bars).map_err(reason)?;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (n, 0.0)], TEXT.stroke_width(1))).map_err(reason)?;
        Ok(())
    })?;
    named(&svg, sorted)
}

/// Puts names and values into bars, which are the rectangles in the colours of gains and losses, in the order in which they
/// were drawn: an element each, on a line of its own.
fn named(svg: &str, bars: &[(String, f64)]) -> Result<String, PlotError> {
    let mut left = bars.iter();
    let mut named = String::with_capacity(svg.len() + bars.len() * 40);
    let mismatch = || PlotError(format!("{} differences have another number of bars", bars.len()));
    for line in svg.split_inclusive('\n') {
        let is_bar = line.starts_with("<rect ")
            && (line.contains("fill=\"var(--gain)\"") || line.contains("fill=\"var(--loss)\""));
        match line.trim_end().strip_suffix("/>").filter(|_| is_bar) {
            Some(open) => {
                let (query, value) = left.next().ok_or_else(mismatch)?;
                // Nothing but a zero is shown with a sign that it does not have.
                let value = if value.abs() < 0.005 { 0.0 } else { *value };
                named.push_str(&format!("{open}><title>{} {value:+.2}</title></rect>\n", escaped(query)));
            }
            None => named.push_str(line),
        }
    }
    if left.next().is_some() { Err(mismatch()) } else { Ok(named) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

type Area<'b> = DrawingArea<SVGBackend<'b>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn frame<'b>(
    area: &Area<'b>,
    chart: &mut Chart<'_, 'b>,
    axis: &Axis<'_>,
    value: &str,
) -> Result<(), PlotError> {
    let font = ("sans-serif", 13).into_font().color(&TEXT);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|v| format!("{:.2}", if v.abs() < 0.005 { 0.0 } else { *v }))
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(GRID)
        .label_style(font.clone())
        .axis_desc_style(font.clone())
        .x_desc(axis.name)
        .y_desc(value)
        .draw()
        .map_err(reason)?;
    let centred = font.pos(Pos::new(HPos::Center, VPos::Top));
    for (place, label) in &axis.labels {
        let x = chart.backend_coord(&(*place, 0.0)).0;
        let y = chart.as_coord_spec().get_y_axis_pixel_range().end + 6;
        area.draw(&Text::new(label.clone(), (x, y), centred.clone())).map_err(reason)?;
    }
    Ok(())
}

fn reason(error: impl std::fmt::Display) -> PlotError {
    PlotError(error.to_string())
}

fn draw(
    size: (u32, u32),
    paint: impl for<'b> FnOnce(&Area<'b>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&area)?;
        area.present().map_err(reason)?;
    }
    Ok(themed(&svg, size))
}

/// Replaces the stand-in shades by the page's colours and lets the page decide the size.
fn themed(svg: &str, size: (u32, u32)) -> String {
    let mut themed = svg
        .replace("xmlns=\"http://www.w3.org/2000/svg\"", "role=\"img\"")
        .replace(&format!("width=\"{}\" height=\"{}\"", size.0, size.1), "class=\"plot\"")
        .replace("#030303", "var(--text-soft)")
        .replace("#040404", "var(--line)")
        .replace("#050505", "var(--gain)")
        .replace("#060606", "var(--loss)");
    for series in 0..COLOURS {
        themed = themed.replace(&format!("#01020{series}"), &format!("var(--s{series})"));
    }
    themed
}
