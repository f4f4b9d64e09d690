//! Sizes and durations as people write them: `512MiB`, `1h30m`.
//!
//! A number without a unit is an error for durations and bytes for sizes; a unit that means two things to two people (`M`) is
//! not accepted. Decimal units (`MB`) and binary ones (`MiB`) are what they say.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A text that is no size or no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Not a size.
    #[error("`{0}` is not a size; write a number with a unit, as in `512MiB`")]
    Size(String),
    /// Not a duration.
    #[error("`{0}` is not a duration; write numbers with units, as in `90s`, `2m` or `1h30m`")]
    Duration(String),
    /// Not a number of cores.
    #[error("`{0}` is not a number of cores; write one from 0.01 up, as in `2` or `0.5`")]
    Cores(String),
    /// More than can be counted.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

/// A share of CPU time, as a number of cores, to the thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuCores(u32);

impl CpuCores {
    /// The least: a hundredth of a core. The kernel takes no less for a tenth of a second.
    const LEAST: f64 = 0.01;
    /// More than any machine has.
    const MOST: f64 = 65_536.0;

    /// So many cores; `None` for what is no number from 0.01 to 65536.
    #[must_use]
    pub fn new(cores: f64) -> Option<CpuCores> {
        let fits = (Self::LEAST..=Self::MOST).contains(&cores);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was looked at"
        )]
        fits.then(|| CpuCores((cores * 1000.0).round() as u32))
    }

    /// Reads a number of cores: `2`, `0.5`.
    ///
    /// # Errors
    /// [`UnitError::Cores`] for anything else.
    pub fn parse(text: &str) -> Result<CpuCores, UnitError> {
        let number = text.trim().parse().ok();
        number.and_then(CpuCores::new).ok_or_else(|| UnitError::Cores(text.to_owned()))
    }

    /// The number of cores.
    #[must_use]
    pub fn cores(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl FromStr for CpuCores {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<CpuCores, UnitError> {
        CpuCores::parse(text)
    }
}

impl fmt::Display for CpuCores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cores())
    }
}

/// An amount of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// The units of a size, largest first within each family.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

impl ByteSize {
    /// This many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// Reads a size: a whole number and a unit (`B`, `kB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB`, `TiB`); no unit means bytes.
    ///
    /// # Errors
    /// [`UnitError::Size`] for another form, [`UnitError::TooLarge`] beyond `u64`.
    pub fn parse(text: &str) -> Result<ByteSize, UnitError> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()));
        let (Some((_, scale)), false) = (unit, number.is_empty()) else {
            return Err(UnitError::Size(text.to_owned()));
        };
        let number: Option<u64> = number.parse().ok();
        let bytes = number.and_then(|number| number.checked_mul(*scale));
        bytes.map(ByteSize).ok_or_else(|| UnitError::TooLarge(text.to_owned()))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<ByteSize, UnitError> {
        ByteSize::parse(text)
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |scale: u64| self.0 >= scale && self.0.is_multiple_of(scale);
        match SIZE_UNITS[..4].iter().find(|(_, scale)| fits(*scale)) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// The units of a duration, in the order they may be written.
const TIME_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: whole numbers with the units `d`, `h`, `m`, `s`, `ms`, largest first, each at most once.
///
/// # Errors
/// [`UnitError::Duration`] for another form (a number alone too), [`UnitError::TooLarge`] beyond `u64` milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::Duration(text.to_owned());
    let too_large = || UnitError::TooLarge(text.to_owned());
    let mut rest = text.trim();
    let mut units = TIME_UNITS;
    let mut total = 0_u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if number.is_empty() {
            return Err(wrong());
        }
        let number: u64 = number.parse().map_err(|_| too_large())?;
        total = number
            .checked_mul(units[at].1)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(too_large)?;
        units = &units[at + 1..];
        rest = &rest[digits + letters..];
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str, expect: Option<u64>) {
        assert_eq!(ByteSize::parse(text).ok().map(ByteSize::bytes), expect, "{text}");
    }

    #[test]
    fn sizes() {
        size("512MiB", Some(512 << 20));
        size("2GiB", Some(2 << 30));
        size("2gib", Some(2 << 30));
        size("1MB", Some(1_000_000));
        size("10 kB", Some(10_000));
        size("0", Some(0));
        size("17B", Some(17));
        for wrong in [
            "",
            "M",
            "1M",
            "1.5GiB",
            "-1",
            "MiB",
            "1MiB2",
            "1 MiB x",
            "99999999TiB",
            "99999999999999999999",
        ] {
            size(wrong, None);
        }
    }

    #[test]
    fn sizes_print_back() {
        for text in ["512MiB", "2GiB", "1KiB", "1000B", "0B", "1TiB", "1025B"] {
            assert_eq!(ByteSize::parse(text).expect("a size").to_string(), text);
        }
    }

    fn duration(text: &str, expect: Option<u64>) {
        assert_eq!(
            parse_duration(text).ok().map(|d| d.as_millis()),
            expect.map(u128::from),
            "{text}"
        );
    }

    #[test]
    fn durations() {
        duration("90s", Some(90_000));
        duration("2m", Some(120_000));
        duration("1h30m", Some(5_400_000));
        duration("250ms", Some(250));
        duration("1d1ms", Some(86_400_001));
        duration("0s", Some(0));
        for wrong in [
            "",
            "90",
            "s",
            "1m1m",
            "30m1h",
            "1.5h",
            "-1s",
            "1h 30m",
            "5x",
            "99999999999999999999s",
            "9999999999999999d",
            "1é",
        ] {
            duration(wrong, None);
        }
    }
}
