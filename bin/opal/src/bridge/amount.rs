//! Amounts as users write them.

use std::str::FromStr;

use alloy_primitives::U256;

/// An amount of ether or of a token: a decimal number and its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Digits before the point.
    whole: String,
    /// Digits behind it.
    fraction: String,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Whole ether, or whole tokens.
    Whole,
    /// None was given: whole tokens, but nothing for ether.
    None,
    Gwei,
    /// The smallest unit.
    Wei,
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no amount such as 1.5ether, 20gwei or 7wei; of a token, such as 12.5 or 7wei"
            )
        };
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = match unit.trim() {
            "" => Unit::None,
            "ether" | "eth" => Unit::Whole,
            "gwei" => Unit::Gwei,
            "wei" => Unit::Wei,
            _ => return Err(wrong()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
            return Err(wrong());
        }
        Ok(Self { whole: whole.to_owned(), fraction: fraction.to_owned(), unit })
    }
}

impl Amount {
    /// Wei of ether.
    ///
    /// # Errors
    /// When no unit was given: nobody shall send ether who meant wei.
    pub(crate) fn ether(&self) -> Result<U256, String> {
        match self.unit {
            Unit::None if self.is_zero() => Ok(U256::ZERO),
            Unit::None => Err("an amount of ether needs its unit: ether, gwei or wei".to_owned()),
            Unit::Whole => self.scaled(18),
            Unit::Gwei => self.scaled(9),
            Unit::Wei => self.scaled(0),
        }
    }

    /// Smallest units of a token with these decimals; `None` if they are not known.
    ///
    /// # Errors
    /// When the amount is in a unit of ether, or in whole tokens of unknown decimals.
    pub(crate) fn tokens(&self, decimals: Option<u8>) -> Result<U256, String> {
        match (self.unit, decimals) {
            (Unit::Wei, _) => self.scaled(0),
            (Unit::None, Some(decimals)) => self.scaled(decimals),
            (Unit::None, None) => {
                Err("the token does not tell its decimals: give its smallest units, as in 700wei"
                    .to_owned())
            }
            (Unit::Whole | Unit::Gwei, _) => {
                Err("an amount of tokens has no unit, or wei for the smallest".to_owned())
            }
        }
    }

    fn is_zero(&self) -> bool {
        self.whole.chars().chain(self.fraction.chars()).all(|digit| digit == '0')
    }

    fn scaled(&self, decimals: u8) -> Result<U256, String> {
        let decimals = usize::from(decimals);
        if self.fraction.len() > decimals {
            return Err(format!("it has more than {decimals} digits behind the point"));
        }
        let digits = format!("{}{:0<decimals$}", self.whole, self.fraction);
        U256::from_str_radix(&digits, 10).map_err(|_| "it is more than 256 bits hold".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn ether_has_a_unit() {
        for (text, wei) in [
            ("1.5ether", 1_500_000_000_000_000_000_u64),
            ("0.000000000000000001eth", 1),
            ("20 gwei", 20_000_000_000),
            ("0.5gwei", 500_000_000),
            ("7wei", 7),
            ("0", 0),
        ] {
            assert_eq!(amount(text).ether(), Ok(U256::from(wei)), "{text}");
        }
        for text in ["1", "1.5", "0.1wei", "1.0000000000000000001ether"] {
            assert!(amount(text).ether().is_err(), "{text}");
        }
        assert!(amount(&format!("{}ether", "9".repeat(70))).ether().is_err());
    }

    #[test]
    fn tokens_have_their_decimals() {
        assert_eq!(amount("12.5").tokens(Some(6)), Ok(U256::from(12_500_000)));
        assert_eq!(amount("12").tokens(Some(0)), Ok(U256::from(12)));
        assert_eq!(amount("700wei").tokens(None), Ok(U256::from(700)));
        for (text, decimals) in [("1", None), ("1ether", Some(18)), ("0.5", Some(0))] {
            assert!(amount(text).tokens(decimals).is_err(), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "ether", ".5ether", "1.ether", "1..5ether", "1.5.5", "-1wei", "1e18", "0x10"]
        {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }
}
