//! Makes the company's colour readable on our backgrounds: WCAG 2.2 contrast for text, in light and dark mode.

use std::fmt;

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Color {
    red: u8,
    green: u8,
    blue: u8,
}

/// The contrast that WCAG 2.2 §1.4.3 asks of text at level AA.
pub(crate) const READABLE: f64 = 4.5;

impl Color {
    pub(crate) const WHITE: Self = Self::new(0xff, 0xff, 0xff);
    const BLACK: Self = Self::new(0, 0, 0);

    pub(crate) const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Reads `#rrggbb`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self::new(red, green, blue))
    }

    /// Returns the nearest shade that can be read on every one of `grounds`, all of which are light.
    pub(crate) fn darkened_for(self, grounds: &[Self]) -> Self {
        self.shaded(Self::BLACK, grounds)
    }

    /// Returns the nearest tint that can be read on every one of `grounds`, all of which are dark.
    pub(crate) fn lightened_for(self, grounds: &[Self]) -> Self {
        self.shaded(Self::WHITE, grounds)
    }

    fn shaded(self, towards: Self, grounds: &[Self]) -> Self {
        let readable = |color: &Self| grounds.iter().all(|ground| color.contrast(*ground) >= READABLE);
        (0..=STEPS).map(|step| self.mixed(towards, step)).find(readable).unwrap_or(towards)
    }

    fn mixed(self, other: Self, step: u16) -> Self {
        let mix = |from: u8, to: u8| {
            let sum = u16::from(from) * (STEPS - step) + u16::from(to) * step;
            u8::try_from(sum / STEPS).unwrap_or(to)
        };
        Self::new(mix(self.red, other.red), mix(self.green, other.green), mix(self.blue, other.blue))
    }

    /// Returns the contrast ratio, from 1 to 21.
    pub(crate) fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

const STEPS: u16 = 50;
