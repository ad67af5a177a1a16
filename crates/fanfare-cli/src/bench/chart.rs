//! Latency and throughput charts as SVG.

use super::stats::Latencies;

/// Dimensions of a drawing. Text keeps its size on the screen only if the drawing is about as wide as it is shown.
#[derive(Clone, Copy)]
struct Size {
    class: &'static str,
    width: f64,
    height: f64,
    /// Number of x-axis labels that fit.
    labels: usize,
}

/// Sizes for desktops and for phones; the page shows the one that fits.
const SIZES: [Size; 2] = [
    Size {
        class: "wide",
        width: 900.0,
        height: 260.0,
        labels: 8,
    },
    Size {
        class: "narrow",
        width: 360.0,
        height: 200.0,
        labels: 4,
    },
];

const LEFT: f64 = 48.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 16.0;

/// Name, colour class, points.
pub(super) type Curve = (&'static str, &'static str, Vec<(f64, f64)>);

/// Draws curves over time, from zero to `right`.
pub(super) fn figure(title: &str, unit: &str, curves: &[Curve], right: f64) -> String {
    let points = || {
        curves
            .iter()
            .flat_map(|(_, _, points)| points.iter().copied())
    };
    if points().count() < 2 {
        return String::new();
    }
    let ticks = |size: Size| {
        steps(0.0, right, size.labels)
            .into_iter()
            .map(|x| (x, number(x)))
            .collect()
    };
    draw(title, unit, curves, (0.0, right), ticks)
}

/// Draws latency by percentile: each step to the right is a tenth of the remaining share.
pub(super) fn percentiles(title: &str, histogram: &Latencies) -> String {
    if histogram.len() < 10 {
        return String::new();
    }
    // As many nines as the number of values can resolve.
    let nines = (histogram.len() as f64).log10().min(5.0);
    let points: Vec<(f64, f64)> = (0..=200)
        .map(|i| {
            let x = nines * f64::from(i) / 200.0;
            let quantile = 1.0 - 10f64.powf(-x);
            (x, histogram.value_at_quantile(quantile) as f64 / 1000.0)
        })
        .collect();
    let ticks = |size: Size| {
        let all = [
            (0.0, "0 %"),
            (0.301, "50 %"),
            (1.0, "90 %"),
            (2.0, "99 %"),
            (3.0, "99.9 %"),
            (4.0, "99.99 %"),
            (5.0, "99.999 %"),
        ];
        // The second label is close to the first, and the last one is long.
        let room = size.labels >= all.len();
        all.into_iter()
            .filter(|(x, _)| *x <= nines && (room || ![0.301, 5.0].contains(x)))
            .map(|(x, label)| (x, label.to_owned()))
            .collect()
    };
    let curve = ("latency", "b", points);
    draw(
        title,
        "share that was at least as fast",
        &[curve],
        (0.0, nines),
        ticks,
    )
}

fn draw(
    title: &str,
    unit: &str,
    curves: &[Curve],
    span: (f64, f64),
    ticks: impl Fn(Size) -> Vec<(f64, String)>,
) -> String {
    let drawings: String = SIZES
        .into_iter()
        .map(|size| svg(title, curves, span, &ticks(size), size))
        .collect();
    // The title already names a single curve.
    let legend: String = curves
        .iter()
        .filter(|_| curves.len() > 1)
        .map(|(name, class, _)| format!("<span><b class=\"{class}\"></b>{name}</span>"))
        .collect();
    format!(
        "<section><h2>{title}</h2>\n<figure>{drawings}<figcaption>{legend}<span class=\"unit\">{unit} →</span>\
         </figcaption></figure></section>\n"
    )
}

fn svg(
    title: &str,
    curves: &[Curve],
    (left, right): (f64, f64),
    ticks: &[(f64, String)],
    Size {
        class,
        width,
        height,
        ..
    }: Size,
) -> String {
    let values = || curves.iter().flat_map(|(_, _, points)| points);
    let lines = up_to(values().map(|(_, y)| *y).fold(0.0, f64::max));
    let top = lines.last().copied().unwrap_or(1.0);
    let floor = height - BOTTOM;
    let x = |value: f64| LEFT + (value - left) / (right - left).max(1e-9) * (width - LEFT - RIGHT);
    let y = |value: f64| floor - value / top * (floor - TOP);
    let mut svg = String::new();
    for value in &lines {
        let (at, end) = (y(*value), width - RIGHT);
        svg += &format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            number(*value)
        );
    }
    for (value, label) in ticks {
        // At the right edge the second half of a centred label would be clipped.
        let anchor = if x(*value) > width - RIGHT - 8.0 {
            "end"
        } else {
            "middle"
        };
        svg += &format!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{label}</text>",
            x(*value),
            height - 6.0
        );
    }
    for (_, class, points) in curves {
        let path: Vec<String> = points
            .iter()
            .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
            .collect();
        let path = path.join(" ");
        // Under a single curve the area can be filled.
        if let ([(first, _), .., (last, _)], 1) = (points.as_slice(), curves.len()) {
            svg += &format!(
                "<polygon class=\"area {class}\" points=\"{:.1},{floor} {path} {:.1},{floor}\"/>",
                x(*first),
                x(*last)
            );
        }
        svg += &format!("<polyline class=\"curve {class}\" points=\"{path}\"/>");
    }
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">{svg}</svg>"
    )
}

/// Returns round numbers from zero to the first that is at least `high`.
fn up_to(high: f64) -> Vec<f64> {
    // A curve of zeros still needs an axis with a height.
    let high = if high > 0.0 { high } else { 1.0 };
    let mut lines = steps(0.0, high, 4);
    if let [.., before, last] = lines.as_slice()
        && *last < high
    {
        lines.push(2.0 * last - before);
    }
    if lines.len() < 2 {
        lines = vec![0.0, high];
    }
    lines
}

/// Returns round numbers from `low` to at least `high`.
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
        assert_eq!(up_to(158.0), [0.0, 50.0, 100.0, 150.0, 200.0]);
        assert_eq!(up_to(100.0), [0.0, 50.0, 100.0]);
        assert_eq!(up_to(0.0), [0.0, 0.5, 1.0]);
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
            1.0,
        );
        assert_eq!(
            svg.matches("<polyline").count(),
            2 * SIZES.len(),
            "one per curve and size: {svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(figure("t", "s", &[("one", "a", vec![(0.0, 1.0)])], 1.0), "");
    }

    #[test]
    fn a_label_at_the_right_edge_stays_inside() {
        let mut histogram = super::super::stats::latencies();
        (0..200_000).for_each(|value| histogram.saturating_record(value));
        let svg = percentiles("t", &histogram);
        let [wide, narrow] = svg.split("class=\"narrow\"").collect::<Vec<_>>()[..] else {
            panic!("two drawings: {svg}");
        };
        assert!(wide.contains("text-anchor=\"end\">99.999 %"), "{wide}");
        assert!(!narrow.contains("99.999 %"), "{narrow}");
    }
}
