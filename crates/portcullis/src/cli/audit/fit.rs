//! Lines of columns, no wider than the terminal.

use std::io::{self, IsTerminal as _};

use crate::cli::text;

/// What is given up where the terminal is too narrow.
#[derive(Clone, Debug)]
pub(super) enum Measure {
    /// Texts of these columns are cut, the widest first, down to so many characters.
    Shorten(Vec<usize>, usize),
    /// These columns have texts of this width instead; of none, and they are left out.
    Replace(&'static [usize], usize),
}

/// The widths of columns. A column of no width is left out.
#[derive(Clone, Debug)]
pub(super) struct Widths {
    columns: Vec<usize>,
    // Of the terminal, where somebody looks at it on one.
    most: Option<usize>,
}

impl Widths {
    /// Takes over how wide the columns would be, and takes as many of the measures, in turn, as the terminal needs.
    pub(super) fn fitting(columns: Vec<usize>, measures: &[Measure]) -> Self {
        let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self::within(columns, measures, io::stdout().is_terminal().then(terminal).flatten())
    }

    fn within(columns: Vec<usize>, measures: &[Measure], most: Option<usize>) -> Self {
        let mut widths = Self { columns, most };
        measures.iter().for_each(|measure| widths.take(measure));
        widths
    }

    /// Returns how wide a column is.
    pub(super) fn of(&self, column: usize) -> usize {
        self.columns.get(column).copied().unwrap_or_default()
    }

    /// Puts the texts of a line beside each other.
    pub(super) fn line(&self, cells: impl IntoIterator<Item = String>) -> String {
        let shown = cells.into_iter().zip(&self.columns).filter(|(_, width)| **width > 0).map(|(cell, width)| {
            let cell = if self.most.is_some() { text::cut(&cell, *width) } else { cell };
            format!("{cell:<width$}")
        });
        let line = shown.collect::<Vec<_>>().join(GAP);
        let line = line.trim_end();
        self.most.map_or_else(|| line.to_owned(), |most| text::cut(line, most))
    }

    fn take(&mut self, measure: &Measure) {
        match measure {
            Measure::Replace(columns, width) if self.is_too_wide() => {
                columns.iter().for_each(|column| self.set(*column, *width));
            }
            Measure::Replace(..) => {}
            Measure::Shorten(columns, least) => {
                let widest = |widths: &Self| columns.iter().copied().max_by_key(|column| widths.of(*column));
                while let Some(widest) = widest(self).filter(|widest| self.is_too_wide() && self.of(*widest) > *least) {
                    self.set(widest, self.of(widest) - 1);
                }
            }
        }
    }

    fn set(&mut self, column: usize, width: usize) {
        if let Some(now) = self.columns.get_mut(column) {
            *now = width;
        }
    }

    fn is_too_wide(&self) -> bool {
        self.most.is_some_and(|most| self.total() > most)
    }

    fn total(&self) -> usize {
        let shown = self.columns.iter().filter(|width| **width > 0);
        shown.map(|width| width + GAP.len()).sum::<usize>().saturating_sub(GAP.len())
    }
}

/// Returns how a moment is shown in a column of this width.
pub(super) const fn time_format(width: usize) -> &'static str {
    if width < WHOLE_TIME { "%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%:z" }
}

/// How wide a moment is, and how wide without year and zone.
pub(super) const WHOLE_TIME: usize = 25;
pub(super) const SHORT_TIME: usize = 14;

const GAP: &str = "  ";

#[cfg(test)]
mod tests;
