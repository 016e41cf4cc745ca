//! What is wrong with a configuration, all of it, with the place of each mistake.

use std::fmt::{self, Write as _};

use super::source::{Place, Sources};
use super::watched::Watched;

/// Everything that is wrong with one configuration, or worth a warning.
#[derive(Debug)]
pub struct Report {
    pub(crate) sources: Sources,
    pub(crate) problems: Vec<Problem>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) place: Place,
    /// What is wrong and what to do: lower case, no full stop, no secret.
    pub(crate) message: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration loads; the operator should look.
    Warning,
}

impl Problem {
    pub(crate) fn error(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place, message: message.into() }
    }

    pub(crate) fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place, message: message.into() }
    }
}

impl Report {
    /// Returns how many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Returns whether there is neither an error nor a warning.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns each problem as `file:line:column: what, and what to do`, without the source line.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|problem| self.headline(problem))
    }

    /// Returns each error as `file:line:column: what, and what to do`.
    pub(crate) fn error_lines(&self) -> impl Iterator<Item = String> {
        let errors = self.problems.iter().filter(|problem| problem.severity == Severity::Error);
        errors.map(|problem| self.headline(problem))
    }

    /// Returns what on disk the configuration depends on.
    pub(crate) const fn watched(&self) -> &Watched {
        &self.sources.watched
    }

    /// Sorts by file and place, so that a reader goes through each file once.
    pub(crate) fn sort(&mut self) {
        let Self { sources, problems } = self;
        let order = |problem: &Problem| sources.get(problem.place.file).map(|source| source.path.clone());
        problems.sort_by(|a, b| {
            // The first file read is the one that the operator named.
            let first = |problem: &Problem| sources.iter().next().map(|source| &source.path) != order(problem).as_ref();
            (first(a), order(a), a.place.start).cmp(&(first(b), order(b), b.place.start))
        });
        problems.dedup();
    }

    fn headline(&self, problem: &Problem) -> String {
        let Some(source) = self.sources.get(problem.place.file) else { return problem.message.clone() };
        let (line, column) = source.position(problem.place.start);
        let severity = match problem.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        format!("{}:{line}:{column}: {severity}{}", source.path.display(), problem.message)
    }

    /// Returns the source line with a caret below; nothing when the line may hold a secret.
    fn excerpt(&self, place: Place) -> Option<String> {
        let source = self.sources.get(place.file)?;
        let range = source.line_at(place.start)?;
        let text = source.text.get(range.clone())?.trim_end();
        if text.is_empty() {
            return None;
        }
        let (line, _) = source.position(place.start);
        let margin = line.to_string();
        let before = source.text.get(range.start..place.start)?;
        // Of a line that no screen shows at once, what stands around the place.
        let column = before.chars().count();
        let skipped = if text.chars().count() > MAX_SHOWN { column.saturating_sub(MAX_SHOWN / 2) } else { 0 };
        let part = |skipped: usize| text.chars().skip(skipped);
        let begun = if skipped > 0 { "…" } else { "" };
        let goes_on = if part(skipped + MAX_SHOWN).next().is_some() { "…" } else { "" };
        let marked = source.text.get(place.start..place.end.min(range.start + text.len()).max(place.start));
        let columns = |c| if space(c) == WIDE { 2 } else { 1 };
        let width = marked.unwrap_or_default().trim_end().chars().map(columns).sum::<usize>().max(1);
        let pad: String = begun.chars().chain(before.chars().skip(skipped)).map(space).collect();
        let mut out = String::new();
        let shown = part(skipped).take(MAX_SHOWN).map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c });
        let _ = writeln!(out, "  {margin} | {begun}{}{goes_on}", shown.collect::<String>());
        let _ = write!(out, "  {:width$} | {pad}{}", "", "^".repeat(width.min(MAX_CARETS)), width = margin.len());
        Some(out)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}", self.headline(problem))?;
            if let Some(excerpt) = self.excerpt(problem.place) {
                writeln!(f, "{excerpt}")?;
            }
        }
        Ok(())
    }
}

/// Returns the space that is as wide as a character, so that carets line up however wide tabs, and the characters of East
/// Asia, are to the reader (Unicode Standard Annex 11, roughly).
const fn space(below: char) -> char {
    match below {
        '\t' => '\t',
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff01}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => WIDE,
        _ => ' ',
    }
}

/// The space of two columns.
const WIDE: char = '\u{3000}';

/// A longer underline helps nobody.
const MAX_CARETS: usize = 80;

/// Characters of a line that are shown.
const MAX_SHOWN: usize = 240;
