//! The application's colour on pages and in mails, and the colours that are computed from it so that text is readable.
//! Contrast is that of WCAG 2.2: 4.5 for text, 3 for the focus ring.

use std::{fmt, str::FromStr};

/// The contrast that WCAG 2.2 requires of text (success criterion 1.4.3).
const TEXT_CONTRAST: f64 = 4.5;

/// A colour as `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color([u8; 3]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a colour such as #1652c6")]
pub struct InvalidColor;

impl FromStr for Color {
    type Err = InvalidColor;

    fn from_str(text: &str) -> Result<Self, InvalidColor> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(InvalidColor)?;
        // `from_str_radix` takes a sign too.
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidColor);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| InvalidColor)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Color {
    pub const BLACK: Self = Self([0; 3]);
    pub const WHITE: Self = Self([255; 3]);
    /// The colour of an application that names none.
    pub const DEFAULT: Self = Self([0x16, 0x52, 0xc6]);
    /// The darkest background of a page in light mode (`style.css`).
    pub(super) const LIGHT_PAGE: Self = Self([0xf4, 0xf5, 0xf7]);
    /// The lightest background of a page in dark mode (`style.css`).
    pub(super) const DARK_CARD: Self = Self([0x21, 0x24, 0x2b]);

    /// Black or white: the one that is readable on this colour. One of them always is.
    #[must_use]
    pub fn text_on(self) -> Self {
        if self.contrast(Self::WHITE) >= TEXT_CONTRAST { Self::WHITE } else { Self::BLACK }
    }

    /// This colour, darkened or lightened until text in it is readable on `background`.
    #[must_use]
    pub fn readable_on(self, background: Self) -> Self {
        let towards = background.text_on();
        let steps = (0..=20).map(|step| self.mixed(towards, step));
        steps.into_iter().find(|color| color.contrast(background) >= TEXT_CONTRAST).unwrap_or(towards)
    }

    /// This colour with `twentieths` of another.
    fn mixed(self, other: Self, twentieths: u16) -> Self {
        let mix = |own: u8, other: u8| {
            let mixed = (u16::from(own) * (20 - twentieths) + u16::from(other) * twentieths) / 20;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        Self(std::array::from_fn(|channel| mix(self.0[channel], other.0[channel])))
    }

    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours of all hues, from black to white.
    fn colors() -> impl Iterator<Item = Color> {
        let steps = (0..=255).step_by(15);
        steps.clone().flat_map(move |red| {
            let steps = steps.clone();
            steps.clone().flat_map(move |green| steps.clone().map(move |blue| Color([red, green, blue])))
        })
    }

    #[test]
    fn the_contrast_is_that_of_wcag() {
        let contrast = |one: &str| one.parse::<Color>().unwrap().contrast(Color::WHITE);
        assert!((contrast("#000000") - 21.0).abs() < 0.01);
        // https://webaim.org/resources/contrastchecker/: the lightest grey that is readable on white.
        assert!((contrast("#767676") - 4.54).abs() < 0.01);
        assert!((contrast("#777777") - 4.48).abs() < 0.01);
    }

    #[test]
    fn every_colour_leads_to_readable_text() {
        for color in colors() {
            assert!(color.contrast(color.text_on()) >= TEXT_CONTRAST, "{color}");
            for background in [Color::LIGHT_PAGE, Color::WHITE, Color::DARK_CARD, "#16181d".parse().unwrap()] {
                let accent = color.readable_on(match background.text_on() {
                    Color::BLACK => Color::LIGHT_PAGE,
                    _ => Color::DARK_CARD,
                });
                assert!(accent.contrast(background) >= TEXT_CONTRAST, "{color} on {background}");
            }
        }
    }

    #[test]
    fn a_readable_colour_is_left_as_it_is() {
        assert_eq!(Color::DEFAULT.readable_on(Color::LIGHT_PAGE), Color::DEFAULT);
        assert_ne!(Color::DEFAULT.readable_on(Color::DARK_CARD), Color::DEFAULT);
    }

    #[test]
    fn a_colour_has_six_digits() {
        assert_eq!("#0aF9ff".parse::<Color>().unwrap().to_string(), "#0af9ff");
        for wrong in ["", "0af9ff", "#0af", "#0af9fg", "#+af9ff", "#0af9ff0", "red", "#é0af9"] {
            assert!(wrong.parse::<Color>().is_err(), "{wrong}");
        }
    }
}
