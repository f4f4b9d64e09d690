//! Base64 of a secret, alone and in the middle of other data.
//!
//! Three bytes become four characters, so the text of a secret depends on its place modulo 3 in the data, and the
//! characters at its borders hold bits of the neighbours too: these are not part of the form. The trap: base64 that
//! is broken over lines (MIME) is another text and is not covered.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Calls `add` with each form, some of them more than once.
pub(super) fn forms(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    for whole in [STANDARD.encode(value), STANDARD_NO_PAD.encode(value), URL_SAFE.encode(value)] {
        add(whole.into_bytes());
    }
    add(URL_SAFE_NO_PAD.encode(value).into_bytes());
    for shift in 0..3 {
        let mut data = Zeroizing::new(vec![0; shift]);
        data.extend_from_slice(value);
        let (first, end) = ((shift * 8).div_ceil(6), data.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&*data), URL_SAFE_NO_PAD.encode(&*data)] {
            let text = Zeroizing::new(text.into_bytes());
            add(text[first..end].to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(value: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        forms(value, &mut |form| all.push(form));
        all
    }

    proptest! {
        #[test]
        fn any_place_in_any_data(before in prop::collection::vec(any::<u8>(), 0..5), value in prop::collection::vec(any::<u8>(), 8..20), after in prop::collection::vec(any::<u8>(), 0..5)) {
            let data = [before.as_slice(), &value, &after].concat();
            for text in [STANDARD.encode(&data), URL_SAFE.encode(&data)] {
                let inside = |form: &Vec<u8>| text.as_bytes().windows(form.len()).any(|window| window == form);
                let longest = all(&value).iter().filter(|form| inside(form)).map(Vec::len).max();
                prop_assert!(longest.is_some_and(|len| len >= value.len() * 8 / 6 - 1));
            }
        }
    }

    #[test]
    fn padding_belongs_to_the_whole() {
        let all = all(b"hunter2-prod!");
        for form in ["aHVudGVyMi1wcm9kIQ==", "aHVudGVyMi1wcm9kIQ", "aHVudGVyMi1wcm9kI"] {
            assert!(all.contains(&form.as_bytes().to_vec()), "{form}");
        }
    }
}
