//! The two-character glob of names: `*` for any run of bytes, `?` for one byte.
//!
//! Used for variable names and for the program of a rule. Not a file glob: there are no classes, and `/` is a byte like any other.
//! The matcher is the backtracking-to-the-last-star one, linear in practice and `O(pattern × text)` at worst, so a pattern cannot hang it.

/// Whether `pattern` covers all of `text`.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    p = after;
                    t = from + 1;
                    star = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether `text` has a character that makes it a pattern.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        let cases = [
            ("LC_*", "LC_ALL", true),
            ("LC_*", "LC_", true),
            ("LC_*", "LC", false),
            ("*", "", true),
            ("*", "anything", true),
            ("?", "", false),
            ("A?C", "ABC", true),
            ("A?C", "ABBC", false),
            ("*_KEY", "A_KEY_KEY", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("PATH", "PATH", true),
            ("PATH", "path", false),
            ("**", "x", true),
            ("[AB]", "A", false),
        ];
        for (pattern, text, expect) in cases {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expect, "{pattern} on {text}");
        }
    }
}
