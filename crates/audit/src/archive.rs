//! Reads what was written: the segments of a directory in their order, and their lines one at a time.

pub(crate) mod compress;
mod lines;
mod name;
mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use lines::Lines;
pub use name::SegmentName;
pub use summary::{Summary, Values};

/// The segments of a directory as they were when it was looked at.
///
/// Segments are in the order of their chains, and within one of their numbers: a clock that jumped changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    segments: Vec<Segment>,
}

/// One segment.
#[derive(Clone, Debug)]
pub struct Segment {
    name: SegmentName,
    path: PathBuf,
    form: Form,
}

/// How a segment lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines as they were written. Only the last segment of a chain may still grow.
    Plain,
    /// Lines compressed with zstd; it is closed.
    Compressed,
}

impl Archive {
    /// Looks into a directory. Files that are no segments are passed over.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let Some((name, is_compressed)) = path.file_name().and_then(|n| n.to_str()).and_then(SegmentName::parse)
            else {
                continue;
            };
            // While a segment is being compressed there are both for a moment; the compressed one is whole.
            let form = if is_compressed { Form::Compressed } else { Form::Plain };
            match found.get(&name) {
                Some(Segment { form: Form::Compressed, .. }) => {}
                Some(_) | None => drop(found.insert(name.clone(), Segment { name, path, form })),
            }
        }
        let mut segments: Vec<_> = found.into_values().collect();
        segments.sort_by(|a, b| order(&a.name).cmp(&order(&b.name)));
        Ok(Self { segments })
    }

    /// Returns all segments, oldest first within each chain.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the chains, each with its segments. Segments from before there were chains come first, as one.
    pub fn chains(&self) -> impl Iterator<Item = (Option<&str>, &[Segment])> {
        let chains = self.segments.chunk_by(|a, b| a.name.instance == b.name.instance);
        chains.filter_map(|segments| Some((segments.first()?.name.instance.as_deref(), segments)))
    }
}

impl Segment {
    /// Returns its name.
    #[must_use]
    pub const fn name(&self) -> &SegmentName {
        &self.name
    }

    /// Returns its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how it lies on the disk.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Returns what it holds in short, where that is known: of compressed segments. It is a help to searches and no part
    /// of the chain.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        serde_json::from_slice(&fs::read(self.summary_path()).ok()?).ok()
    }

    /// Reads its lines, from the first on.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn lines(&self) -> io::Result<Lines> {
        self.lines_from(0)
    }

    /// Reads its lines behind so many bytes of them.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn lines_from(&self, bytes: u64) -> io::Result<Lines> {
        match self.form {
            Form::Plain => Lines::plain(&self.path, bytes).or_else(|error| {
                // It was compressed since the directory was looked at.
                let is_gone = error.kind() == io::ErrorKind::NotFound;
                if is_gone { Lines::compressed(&self.compressed_path(), bytes) } else { Err(error) }
            }),
            Form::Compressed => Lines::compressed(&self.path, bytes),
        }
    }
}

/// Without numbers that span several runs, the oldest segments can be ordered by their times only.
fn order(name: &SegmentName) -> (Option<&str>, Option<&str>, u64) {
    (name.instance.as_deref(), name.instance.is_none().then_some(&*name.begun), name.number)
}

#[cfg(test)]
mod tests;
