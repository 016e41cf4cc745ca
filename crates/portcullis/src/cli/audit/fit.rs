//! Lines of columns, no wider than the terminal.

use std::io::{self, IsTerminal as _};

use crate::cli::text;

/// What is given up where the terminal is too narrow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    /// Columns that have texts of another width; of none, and they are left out.
    pub(super) replaced: &'a [(usize, usize)],
    /// Texts are cut, the widest first, down to so many characters.
    pub(super) least: usize,
}

/// The widths of columns. A column of no width is left out.
#[derive(Clone, Debug)]
pub(super) struct Widths {
    columns: Vec<usize>,
    // Of the terminal, where somebody looks at it on one.
    most: Option<usize>,
}

impl Widths {
    /// Takes over how wide the columns would be, and the first layout that the terminal has room for, else the last.
    /// What is left of the room is for the texts that stand in some of the columns.
    pub(super) fn fitting(columns: &[usize], texts: &[usize], layouts: &[Layout<'_>]) -> Self {
        let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self::within(columns, texts, layouts, io::stdout().is_terminal().then(terminal).flatten())
    }

    fn within(columns: &[usize], texts: &[usize], layouts: &[Layout<'_>], most: Option<usize>) -> Self {
        let mut widths = Self { columns: columns.to_vec(), most };
        for layout in layouts {
            widths.columns = columns.to_vec();
            widths.take(layout, texts);
            if !widths.is_too_wide() {
                break;
            }
        }
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

    fn take(&mut self, layout: &Layout<'_>, texts: &[usize]) {
        if self.is_too_wide() {
            layout.replaced.iter().for_each(|(column, width)| self.set(*column, *width));
        }
        let widest = |widths: &Self| texts.iter().copied().max_by_key(|column| widths.of(*column));
        while let Some(widest) = widest(self).filter(|widest| self.is_too_wide() && self.of(*widest) > layout.least) {
            self.set(widest, self.of(widest) - 1);
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
