//! Formatting of numbers and tables.

/// Formats three digits, with a unit of thousands or millions.
pub(super) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        v if v >= 999_500.0 => (value / 1e6, " M"),
        v if v >= 9_995.0 => (value / 1e3, " k"),
        _ => return grouped(value),
    };
    let digits = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

/// Formats a whole number with commas.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 {
        format!("-{text}")
    } else {
        text
    }
}

/// Formats microseconds as milliseconds.
pub(super) fn millis(micros: f64) -> String {
    let millis = micros / 1000.0;
    match millis {
        v if v < 0.995 => format!("{v:.2}"),
        v if v < 9.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

/// Formats a table in Markdown: the first column is text, the others are numbers.
pub(super) fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head);
    text += "|---|";
    text += &"--:|".repeat(head.len() - 1);
    text.push('\n');
    rows.iter().for_each(|row| text += &line(row));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_but_not_wrong() {
        let shown = [
            1_494_321.0,
            999_600.0,
            246_100.0,
            32_040.0,
            2_096.4,
            401.0,
            0.4,
        ];
        let texts = shown.map(short);
        assert_eq!(
            texts,
            ["1.49 M", "1.00 M", "246 k", "32.0 k", "2,096", "401", "0"]
        );
        assert_eq!(grouped(-1234.6), "-1,235");
        assert_eq!([460.0, 1400.0, 12_600.0].map(millis), ["0.46", "1.4", "13"]);
    }
}
