//! Encoding of non-ASCII host names for DNS and `Host`: punycode (RFC 3492) with the prefix `xn--`.
//!
//! Names are mapped to lower case and not changed otherwise. Characters that UTS #46 maps differently, or forbids, are
//! rejected; the caller must write the intended host name instead, because a wrong guess would be another host.

/// Maximum length of a label of a name, in bytes (RFC 1035, section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// Converts a host name to ASCII; the error names the part that cannot be converted.
pub(super) fn to_ascii(host: &str) -> Result<String, String> {
    if host.is_ascii() {
        return Ok(host.to_owned());
    }
    let labels: Result<Vec<String>, String> = host.split(['.', '。']).map(label).collect();
    Ok(labels?.join("."))
}

fn label(label: &str) -> Result<String, String> {
    if label.is_ascii() {
        return Ok(label.to_ascii_lowercase());
    }
    let lower: Vec<char> = label.chars().flat_map(char::to_lowercase).collect();
    let punycode = "write the name in punycode (xn--…)";
    if let Some(odd) = lower.iter().find(|char| !is_plain(**char)) {
        return Err(format!(
            "the character {odd:?} cannot be converted: {punycode}"
        ));
    }
    encode(&lower)
        .map(|encoded| format!("xn--{encoded}"))
        .filter(|encoded| encoded.len() <= MAX_LABEL_BYTES)
        .ok_or_else(|| {
            format!("a part of the name is longer than {MAX_LABEL_BYTES} bytes: {punycode}")
        })
}

/// Whether a character maps to itself in host names: neither mapped by UTS #46, nor combined with another one by
/// normalisation, nor forbidden. The check rejects more characters than necessary.
fn is_plain(char: char) -> bool {
    match char {
        '\0'..='\u{7f}' => char.is_ascii_alphanumeric() || char == '-' || char == '_',
        // Signs and controls of Latin-1, and those among its letters.
        '\u{80}'..='\u{bf}' | '×' | '÷' => false,
        // Combining marks, small variants of letters, old compatibility characters.
        'ĳ' | 'ŀ' | 'ŉ' | 'ſ' | 'Ǆ'..='ǌ' | 'Ǳ'..='ǳ' | '\u{2b0}'..='\u{36f}' => false,
        '\u{37a}' | '\u{37e}' | '\u{384}' | '\u{385}' | '\u{387}' => false,
        'ϐ'..='ϖ' | 'ϰ'..='ϲ' | 'ϴ' | 'ϵ' | 'Ϲ' => false,
        'և' | '\u{675}'..='\u{678}' | '\u{1100}'..='\u{11ff}' | '\u{1d2c}'..='\u{1d6a}' => false,
        '\u{1d9b}'..='\u{1dff}' | '\u{1e9a}' | '\u{1e9b}' | '\u{1f71}'..='\u{1fff}' => false,
        // Punctuation, symbols, enclosed and compatibility characters, radicals.
        '\u{2000}'..='\u{2bff}' | '\u{2e80}'..='\u{3004}' | '\u{3008}'..='\u{3029}' => false,
        '\u{302a}'..='\u{3040}' | '\u{3099}'..='\u{309c}' | '\u{309f}' | '\u{30ff}' => false,
        '\u{3130}'..='\u{33ff}'
        | '\u{a69c}'
        | '\u{a69d}'
        | '\u{a770}'
        | '\u{ab5c}'..='\u{ab5f}' => false,
        '\u{e000}'..='\u{ffff}' | '\u{1d400}'..='\u{1f2ff}' | '\u{1fbf0}'..='\u{1fbf9}' => false,
        '\u{2f800}'..='\u{2fa1f}' | '\u{e0000}'..='\u{10ffff}' => false,
        other => !other.is_control() && !other.is_whitespace(),
    }
}

/// Encodes as punycode, RFC 3492, section 6.3; returns `None` if it overflows 32-bit numbers.
fn encode(label: &[char]) -> Option<String> {
    const BASE: u32 = 36;
    let mut out: String = label.iter().filter(|char| char.is_ascii()).collect();
    let basic = u32::try_from(out.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (128u32, 0u32, 72u32, basic);
    while (handled as usize) < label.len() {
        let next = label
            .iter()
            .map(|char| u32::from(*char))
            .filter(|char| *char >= n)
            .min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for char in label.iter().map(|char| u32::from(*char)) {
            if char < n {
                delta = delta.checked_add(1)?;
            }
            if char != n {
                continue;
            }
            let (mut rest, mut k) = (delta, BASE);
            loop {
                let threshold = k.saturating_sub(bias).clamp(1, 26);
                if rest < threshold {
                    break;
                }
                out.push(digit(threshold + (rest - threshold) % (BASE - threshold)));
                rest = (rest - threshold) / (BASE - threshold);
                k += BASE;
            }
            out.push(digit(rest));
            bias = adapt(delta, handled + 1, handled == basic);
            delta = 0;
            handled += 1;
        }
        delta = delta.checked_add(1)?;
        n = n.checked_add(1)?;
    }
    Some(out)
}

/// Adapts the bias, section 6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

fn digit(value: u32) -> char {
    let value = u8::try_from(value).unwrap_or_default();
    char::from(if value < 26 {
        b'a' + value
    } else {
        b'0' + value - 26
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_node_makes_of_them() {
        let names = [
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("münchen-ost.de", "xn--mnchen-ost-9db.de"),
            ("faß.de", "xn--fa-hia.de"),
            ("президент.рф", "xn--d1abbgf6aiiy.xn--p1ai"),
            ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
            ("उदाहरण.परीक्षा", "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"),
            ("한국.kr", "xn--3e0b707e.kr"),
            ("a.日本。jp", "a.xn--wgv71a.jp"),
            ("ñandú.cl", "xn--and-6ma2c.cl"),
            ("👋.ws", "xn--wp8h.ws"),
            ("Σίσυφος.gr", "xn--kxa6ajbbmh.gr"),
            ("ελλάς.gr", "xn--hxarsa0b.gr"),
            ("plain.example", "plain.example"),
        ];
        for (host, expected) in names {
            assert_eq!(to_ascii(host).as_deref(), Ok(expected), "{host}");
        }
    }

    #[test]
    fn what_would_be_mapped_is_refused() {
        for host in [
            "a\u{308}.de",
            "ﬁn.de",
            "Ⅳ.de",
            "ｅxample.de",
            "a\u{200d}b.de",
            "ä b.de",
            "ä/b",
            "½.de",
            "☃.net",
            "İ.tr",
        ] {
            let error = to_ascii(host).unwrap_err();
            assert!(error.contains("punycode"), "{host}: {error}");
        }
        let long = "ü".repeat(64);
        assert!(to_ascii(&long).unwrap_err().contains("63 bytes"));
    }
}
