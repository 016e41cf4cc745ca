//! Comma-separated values (RFC 4180): fields in quotes where they hold commas, quotes or line breaks.

use super::index::{Place, WrittenKey};
use super::{MAX_ROWS, TableError, shown};
use crate::check::suggest;

/// The records of a file: all fields in one text, and where each ends.
#[derive(Debug)]
pub(crate) struct Records {
    columns: Box<[Box<str>]>,
    text: Box<str>,
    // Invariant: ascending offsets into `text`, as many for each record as there are columns.
    ends: Box<[u32]>,
}

impl Records {
    pub(super) const fn columns(&self) -> &[Box<str>] {
        &self.columns
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len() / self.columns.len().max(1)
    }

    pub(super) fn get(&self, row: usize) -> super::Record<'_> {
        super::Record::new(self, row)
    }

    /// Returns a field.
    pub(super) fn field(&self, row: usize, column: usize) -> &str {
        let index = row * self.columns.len() + column;
        let end = |index: usize| self.ends.get(index).map(|end| *end as usize);
        let start = index.checked_sub(1).map_or(Some(0), end);
        start.zip(end(index)).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }
}

/// Reads records and their keys. Where no columns are given, the first record names them.
pub(super) fn read(text: &str, key: &str, columns: &[String]) -> Result<(Records, Vec<WrittenKey>), TableError> {
    let mut reader = Reader::new(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let named = !columns.is_empty();
    let columns: Box<[Box<str>]> = if named {
        columns.iter().map(|column| Box::from(column.as_str())).collect()
    } else {
        let header = reader
            .record()?
            .ok_or_else(|| TableError::at(1, 1, "the file is empty: its first line names the columns"))?;
        header.columns(&mut reader)?
    };
    let key_column = columns.iter().position(|column| **column == *key).ok_or_else(|| no_key(key, &columns))?;
    let mut keys = Vec::new();
    while let Some(record) = reader.record()? {
        record.check_width(columns.len(), named)?;
        let field = reader.field(&record, key_column);
        if field.is_empty() {
            return Err(TableError::at(record.line, 1, format!("the key {} is empty", shown(key))));
        }
        if keys.len() == MAX_ROWS {
            return Err(TableError::at(record.line, 1, format!("more than {MAX_ROWS} rows")));
        }
        keys.push(WrittenKey { text: field.into(), place: Place::Line(record.line, 1) });
    }
    Ok((Records { columns, text: reader.out.into(), ends: reader.ends.into() }, keys))
}

fn no_key(key: &str, columns: &[Box<str>]) -> TableError {
    let help = suggest::nearest(key, columns.iter().map(|column| &**column)).map_or_else(
        || format!("its columns are {}", columns.iter().map(|column| shown(column)).collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean {}?", shown(near)),
    );
    TableError::at(1, 1, format!("there is no column {}: {help}", shown(key)))
}

/// One record that was read.
struct Found {
    line: usize,
    /// Its fields among all that were read.
    fields: std::ops::Range<usize>,
}

impl Found {
    fn check_width(&self, columns: usize, named: bool) -> Result<(), TableError> {
        let fields = self.fields.len();
        if fields == columns {
            return Ok(());
        }
        let told_by = if named { "`columns` names" } else { "the first line has" };
        Err(TableError::at(self.line, 1, format!("the line has {fields} fields, and {told_by} {columns}")))
    }

    /// Takes the record out again, as the names of the columns.
    fn columns(&self, reader: &mut Reader<'_>) -> Result<Box<[Box<str>]>, TableError> {
        let columns: Vec<Box<str>> =
            (0..self.fields.len()).map(|column| reader.field(self, column).trim().into()).collect();
        reader.out.clear();
        reader.ends.clear();
        for (index, column) in columns.iter().enumerate() {
            if columns.iter().take(index).any(|other| other == column) {
                return Err(TableError::at(self.line, 1, format!("two columns are called {}", shown(column))));
            }
        }
        if columns.len() > MAX_COLUMNS {
            return Err(TableError::at(self.line, 1, format!("more than {MAX_COLUMNS} columns")));
        }
        Ok(columns.into())
    }
}

/// Goes through a text, record by record.
struct Reader<'t> {
    rest: &'t str,
    line: usize,
    out: String,
    ends: Vec<u32>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Result<Self, TableError> {
        if u32::try_from(text.len()).is_err() {
            return Err(TableError::new("the file is larger than 4 GiB"));
        }
        Ok(Self { rest: text, line: 1, out: String::with_capacity(text.len()), ends: Vec::new() })
    }

    fn field(&self, record: &Found, column: usize) -> &str {
        let index = record.fields.start + column;
        let end = |index: usize| self.ends.get(index).map(|end| *end as usize);
        let start = index.checked_sub(1).map_or(Some(0), end);
        start.zip(end(index)).and_then(|(start, end)| self.out.get(start..end)).unwrap_or_default()
    }

    /// Reads the next record; empty lines are none.
    fn record(&mut self) -> Result<Option<Found>, TableError> {
        while let Some(rest) = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n')) {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (line, first) = (self.line, self.ends.len());
        loop {
            match self.rest.strip_prefix('"') {
                Some(rest) => self.quoted(rest)?,
                None => self.plain()?,
            }
            // The length of the text was found to fit.
            self.ends.push(u32::try_from(self.out.len()).unwrap_or(u32::MAX));
            let more = self.rest.strip_prefix(',');
            self.rest = more.unwrap_or(self.rest);
            if more.is_none() {
                return Ok(Some(Found { line, fields: first..self.ends.len() }));
            }
        }
    }

    fn plain(&mut self) -> Result<(), TableError> {
        let end = self.rest.find([',', '\n', '"']).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        if rest.starts_with('"') {
            let message = "a quote within a field: put the whole field in quotes, and write the quote twice";
            return Err(TableError::at(self.line, 1, message));
        }
        // Of a line break, the carriage return is no part of the field.
        self.out.push_str(if rest.starts_with(',') { field } else { field.strip_suffix('\r').unwrap_or(field) });
        self.rest = rest;
        Ok(())
    }

    fn quoted(&mut self, mut rest: &'t str) -> Result<(), TableError> {
        let start = self.line;
        loop {
            let Some((part, after)) = rest.split_once('"') else {
                return Err(TableError::at(start, 1, "a quote is opened here and never closed"));
            };
            self.line += part.matches('\n').count();
            self.out.push_str(part);
            match after.strip_prefix('"') {
                Some(after) => {
                    self.out.push('"');
                    rest = after;
                }
                None => {
                    let ended = ["", ",", "\n", "\r\n"]
                        .into_iter()
                        .any(|end| if end.is_empty() { after.is_empty() } else { after.starts_with(end) });
                    if !ended {
                        return Err(TableError::at(self.line, 1, "text behind the closing quote of a field"));
                    }
                    self.rest = after.strip_prefix('\r').filter(|rest| rest.starts_with('\n')).unwrap_or(after);
                    return Ok(());
                }
            }
        }
    }
}

const MAX_COLUMNS: usize = 1000;
