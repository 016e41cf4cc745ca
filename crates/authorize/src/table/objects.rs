//! Objects laid flat, as those of JSON and MaxMind DB are: a lookup goes to a row and a cell of it, and follows no further
//! pointers.

use std::collections::HashMap;

use crate::value::{List, Map, Value};

/// Objects with all that is in them.
#[derive(Debug)]
pub(crate) struct Objects {
    // Invariant: names in their order, once for all objects that have the same.
    shapes: Box<[Box<[Box<str>]>]>,
    rows: RowPlaces,
    cells: Box<[Cell]>,
    texts: Box<str>,
    bytes: Box<[u8]>,
}

/// An object among them: a row, or what lies in one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'a> {
    all: &'a Objects,
    members: Members,
}

/// A list among them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'a> {
    all: &'a Objects,
    span: Span,
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Span),
    Bytes(Span),
    List(Span),
    Object(Members),
}

/// A part of all texts, of all bytes, or of all cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

/// The names of an object, and where its values begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members {
    shape: u32,
    start: u32,
}

/// Where the rows are; their cells come before all others.
#[derive(Debug)]
enum RowPlaces {
    /// All have the same names: so many rows of so many cells.
    Even {
        shape: u32,
        width: usize,
        rows: usize,
    },
    Each(Box<[Members]>),
}

impl RowPlaces {
    fn of(rows: Vec<Members>, shapes: &[Box<[Box<str>]>]) -> Self {
        let shape = rows.first().map_or(0, |row| row.shape);
        let width = shapes.get(shape as usize).map_or(0, |names| names.len());
        let starts = (0..).step_by(width.max(1));
        let even = rows.iter().zip(starts).all(|(row, start)| row.shape == shape && row.start as usize == start);
        if even { Self::Even { shape, width, rows: rows.len() } } else { Self::Each(rows.into()) }
    }
}

impl Objects {
    pub(super) const fn len(&self) -> usize {
        match &self.rows {
            RowPlaces::Even { rows, .. } => *rows,
            RowPlaces::Each(rows) => rows.len(),
        }
    }

    pub(super) fn get(&self, row: usize) -> Option<Object<'_>> {
        let members = match &self.rows {
            RowPlaces::Even { shape, width, rows } if row < *rows => {
                Members { shape: *shape, start: u32::try_from(row * width).ok()? }
            }
            RowPlaces::Even { .. } => return None,
            RowPlaces::Each(rows) => *rows.get(row)?,
        };
        Some(Object { all: self, members })
    }

    fn value(&self, cell: Cell) -> Value<'_> {
        match cell {
            Cell::Null => Value::Null,
            Cell::Bool(value) => Value::Bool(value),
            Cell::Int(value) => Value::Int(value),
            Cell::Uint(value) => Value::Uint(value),
            Cell::Double(value) => Value::Double(value),
            Cell::Text(span) => Value::text(self.texts.get(span.range()).unwrap_or_default()),
            Cell::Bytes(span) => Value::Bytes(self.bytes.get(span.range()).unwrap_or_default().into()),
            Cell::List(span) => Value::List(List::Items(Items { all: self, span })),
            Cell::Object(members) => Value::Map(Map::Object(Object { all: self, members })),
        }
    }
}

impl<'a> Object<'a> {
    /// Returns the names of its members, in their order.
    pub(crate) fn names(self) -> &'a [Box<str>] {
        self.all.shapes.get(self.members.shape as usize).map_or(&[], |names| names)
    }

    /// Returns the value of a member.
    pub(crate) fn get(self, name: &str) -> Option<Value<'a>> {
        let names = self.names();
        let place = if names.len() <= FEW {
            names.iter().position(|known| **known == *name)
        } else {
            names.binary_search_by(|known| (**known).cmp(name)).ok()
        }?;
        self.all.cells.get(self.members.start as usize + place).map(|cell| self.all.value(*cell))
    }
}

impl<'a> Items<'a> {
    /// Returns the number of elements.
    pub(crate) const fn len(self) -> usize {
        self.span.len as usize
    }

    /// Returns the element at `index`.
    pub(crate) fn get(self, index: usize) -> Option<Value<'a>> {
        let cells = self.all.cells.get(self.span.range())?;
        cells.get(index).map(|cell| self.all.value(*cell))
    }
}

impl Span {
    const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// Objects that are being laid flat.
#[derive(Default)]
pub(super) struct Builder<'t> {
    shapes: HashMap<Vec<&'t str>, u32>,
    cells: Vec<Cell>,
    texts: String,
    known: HashMap<&'t str, Span>,
    bytes: Vec<u8>,
}

/// There is more than places of 32 bits can tell apart.
#[derive(Debug)]
pub(super) struct TooLarge;

impl<'t> Builder<'t> {
    /// Makes room for the cells of rows, so that they lie side by side.
    pub(super) fn with_rows(cells: usize) -> Self {
        Self { cells: vec![Cell::Null; cells], ..Self::default() }
    }

    /// Puts the value of a row into the room that was made.
    pub(super) fn place(&mut self, at: usize, cell: Cell) {
        if let Some(place) = self.cells.get_mut(at) {
            *place = cell;
        }
    }

    /// Takes the members of an object in, whose names are in their order.
    pub(super) fn object(&mut self, names: Vec<&'t str>, values: &[Cell]) -> Result<Members, TooLarge> {
        let start = place(self.cells.len())?;
        self.cells.extend(values);
        self.members(names, start as usize)
    }

    /// Says what the values from `start` on are called.
    pub(super) fn members(&mut self, names: Vec<&'t str>, start: usize) -> Result<Members, TooLarge> {
        let next = place(self.shapes.len())?;
        Ok(Members { shape: *self.shapes.entry(names).or_insert(next), start: place(start)? })
    }

    pub(super) fn list(&mut self, items: &[Cell]) -> Result<Cell, TooLarge> {
        let start = place(self.cells.len())?;
        self.cells.extend(items);
        Ok(Cell::List(Span { start, len: place(items.len())? }))
    }

    /// Takes a text in; one that was there before takes no more room, and is likely to be in a cache of the processor.
    pub(super) fn text(&mut self, text: &'t str) -> Result<Cell, TooLarge> {
        if let Some(span) = self.known.get(text) {
            return Ok(Cell::Text(*span));
        }
        let span = Span { start: place(self.texts.len())?, len: place(text.len())? };
        self.texts.push_str(text);
        self.known.insert(text, span);
        Ok(Cell::Text(span))
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<Cell, TooLarge> {
        let span = Span { start: place(self.bytes.len())?, len: place(bytes.len())? };
        self.bytes.extend(bytes);
        Ok(Cell::Bytes(span))
    }

    pub(super) fn finish(self, rows: Vec<Members>) -> Objects {
        let mut shapes: Vec<_> = self.shapes.into_iter().collect();
        shapes.sort_unstable_by_key(|(_, shape)| *shape);
        let shapes: Box<[Box<[Box<str>]>]> =
            shapes.into_iter().map(|(names, _)| names.into_iter().map(Box::from).collect()).collect();
        let (cells, texts, bytes) = (self.cells.into(), self.texts.into(), self.bytes.into());
        Objects { rows: RowPlaces::of(rows, &shapes), shapes, cells, texts, bytes }
    }
}

fn place(number: usize) -> Result<u32, TooLarge> {
    u32::try_from(number).map_err(|_| TooLarge)
}

/// Names that are compared one by one: most differ in length already.
const FEW: usize = 16;
