//! Charts as SVG.

use super::stats::Latencies;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 12.0;

/// Name, colour class, points.
pub(super) type Curve = (&'static str, &'static str, Vec<(f64, f64)>);

/// A chart of curves over time.
pub(super) fn figure(title: &str, unit: &str, curves: &[Curve]) -> String {
    let points = || {
        curves
            .iter()
            .flat_map(|(_, _, points)| points.iter().copied())
    };
    if points().count() < 2 {
        return String::new();
    }
    let (left, right) = points().fold((f64::MAX, f64::MIN), |(low, high), (x, _)| {
        (low.min(x), high.max(x))
    });
    let ticks: Vec<(f64, String)> = steps(left, right, 6)
        .into_iter()
        .map(|x| (x, number(x)))
        .collect();
    let top = points().map(|(_, y)| y).fold(0.0, f64::max);
    draw(title, unit, curves, (left, right), &ticks, top)
}

/// Latency by percentile: each step to the right is a tenth of what was left.
pub(super) fn percentiles(title: &str, histogram: &Latencies) -> String {
    if histogram.len() < 10 {
        return String::new();
    }
    // As many nines as there are values to tell them apart.
    let nines = (histogram.len() as f64).log10().min(5.0);
    let points: Vec<(f64, f64)> = (0..=200)
        .map(|i| {
            let x = nines * f64::from(i) / 200.0;
            let quantile = 1.0 - 10f64.powf(-x);
            (x, histogram.value_at_quantile(quantile) as f64 / 1000.0)
        })
        .collect();
    let ticks: Vec<(f64, String)> = [
        (0.0, "0 %"),
        (0.301, "50 %"),
        (1.0, "90 %"),
        (2.0, "99 %"),
        (3.0, "99.9 %"),
        (4.0, "99.99 %"),
        (5.0, "99.999 %"),
    ]
    .into_iter()
    .filter(|(x, _)| *x <= nines)
    .map(|(x, label)| (x, label.to_owned()))
    .collect();
    let top = points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
    draw(
        title,
        "percentile",
        &[("latency", "b", points)],
        (0.0, nines),
        &ticks,
        top,
    )
}

fn draw(
    title: &str,
    unit: &str,
    curves: &[Curve],
    (left, right): (f64, f64),
    ticks: &[(f64, String)],
    top: f64,
) -> String {
    let lines = steps(0.0, top.max(1e-9), 4);
    let top = lines.last().copied().unwrap_or(top).max(top);
    let x = |value: f64| LEFT + (value - left) / (right - left).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP);
    let mut svg = String::new();
    for value in lines {
        let at = y(value);
        svg += &format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        );
        svg += &format!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            number(value)
        );
    }
    for (value, label) in ticks {
        svg += &format!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            x(*value),
            HEIGHT - 8.0
        );
    }
    let mut legend = String::new();
    for (name, class, points) in curves {
        let path: Vec<String> = points
            .iter()
            .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
            .collect();
        svg += &format!(
            "<polyline class=\"curve {class}\" points=\"{}\"/>",
            path.join(" ")
        );
        legend += &format!("<span><b class=\"{class}\"></b>{name}</span>");
    }
    format!(
        "<h2>{title}</h2>\n<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">{svg}</svg>\
         <figcaption>{legend}<span>x: {unit}</span></figcaption></figure>\n"
    )
}

/// Round numbers from `low` to at least `high`.
fn steps(low: f64, high: f64, about: usize) -> Vec<f64> {
    let raw = ((high - low) / about as f64).max(1e-9);
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= raw)
        .unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        format!("{}M", trim(value / 1e6))
    } else if size >= 1e4 {
        format!("{}k", trim(value / 1e3))
    } else {
        trim(value)
    }
}

fn trim(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(steps(0.0, 9.0, 4), [0.0, 5.0]);
        assert_eq!(steps(0.0, 1000.0, 4), [0.0, 500.0, 1000.0]);
        assert_eq!(number(12_500.0), "12.5k");
        assert_eq!(number(0.25), "0.25");
    }

    #[test]
    fn a_chart_has_a_curve_per_series_and_nothing_of_too_few_points() {
        let svg = figure(
            "t",
            "s",
            &[
                ("one", "a", vec![(0.0, 1.0), (1.0, 2.0)]),
                ("two", "b", vec![(0.0, 3.0), (1.0, 1.0)]),
            ],
        );
        assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(figure("t", "s", &[("one", "a", vec![(0.0, 1.0)])]), "");
    }
}
