//! The lines of one segment, one at a time: memory does not grow with the segment.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use memchr::memmem::Finder;

/// The lines of a segment.
pub struct Lines {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    // What of the buffer was read and is not yet handed out.
    start: usize,
    end: usize,
    handed_out: u64,
}

impl Lines {
    /// Reads what stands behind so many bytes of whole lines.
    pub(super) fn plain(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Self { handed_out: bytes, ..Self::new(Box::new(file)) })
    }

    /// Reads what stands behind so many bytes of whole lines.
    pub(super) fn compressed(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut source = zstd::stream::read::Decoder::new(File::open(path)?)?;
        io::copy(&mut source.by_ref().take(bytes), &mut io::sink())?;
        Ok(Self { handed_out: bytes, ..Self::new(Box::new(source)) })
    }

    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source, buffer: vec![0; BUFFER], start: 0, end: 0, handed_out: 0 }
    }

    /// Returns the next line, without its line feed; `None` at the end. What follows the last line feed (a write that is
    /// under way, or that a crash broke off) is no line: [`Lines::torn`] tells.
    ///
    /// # Errors
    /// The file cannot be read, or a line is longer than any that is written.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut looked_at = self.start;
        let line = loop {
            let unseen = self.buffer.get(looked_at..self.end).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', unseen) {
                let line = self.start..looked_at + at;
                self.start = line.end + 1;
                self.handed_out += (line.len() + 1) as u64;
                break line;
            }
            looked_at = self.end;
            let moved = looked_at - self.start;
            if !self.fill()? {
                return Ok(None);
            }
            looked_at = self.start + moved;
        };
        Ok(self.buffer.get(line))
    }

    /// Returns whether what comes next begins so.
    ///
    /// # Errors
    /// As of [`Lines::next_line`].
    pub(crate) fn begin_with(&mut self, text: &[u8]) -> io::Result<bool> {
        while self.end - self.start < text.len() && self.fill()? {}
        Ok(self.buffer.get(self.start..self.end).is_some_and(|unread| unread.starts_with(text)))
    }

    /// Returns the next whole lines, as many as are in memory, with their line feeds; `None` at the end.
    ///
    /// # Errors
    /// As of [`Lines::next_line`].
    pub(super) fn next_block(&mut self) -> io::Result<Option<&[u8]>> {
        let whole = loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(at) = memchr::memrchr(b'\n', unread) {
                break at + 1;
            }
            if !self.fill()? {
                return Ok(None);
            }
        };
        let block = self.start..self.start + whole;
        self.start = block.end;
        self.handed_out += whole as u64;
        Ok(self.buffer.get(block))
    }

    /// Returns the next line that has the needle somewhere in it; all others are passed over without being looked at.
    ///
    /// # Errors
    /// As of [`Lines::next_line`].
    pub fn next_with(&mut self, needle: &Finder<'_>) -> io::Result<Option<&[u8]>> {
        loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            let whole = memchr::memrchr(b'\n', unread).map_or(0, |at| at + 1);
            let found = needle.find(unread.get(..whole).unwrap_or_default());
            let passed = match found {
                Some(at) => memchr::memrchr(b'\n', unread.get(..at).unwrap_or_default()).map_or(0, |feed| feed + 1),
                None => whole,
            };
            self.start += passed;
            self.handed_out += passed as u64;
            if found.is_some() {
                return self.next_line();
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Returns how many bytes of whole lines were handed out or passed over, line feeds included.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.handed_out
    }

    /// Returns how many bytes stand behind the last line feed, once [`Lines::next_line`] has returned `None`.
    #[must_use]
    pub const fn torn(&self) -> u64 {
        (self.end - self.start) as u64
    }

    /// Reads more; returns whether there was more.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            if self.buffer.len() >= MAX_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than any that is written"));
            }
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        loop {
            match self.source.read(room) {
                Ok(read) => {
                    self.end += read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("handed_out", &self.handed_out).finish_non_exhaustive()
    }
}

/// Large enough that the system is asked rarely, small enough for the processor's cache.
const BUFFER: usize = 256 * 1024;

/// Far above what the bounds of `line.rs` let through. Without it a file without line feeds would fill the memory.
const MAX_LINE: usize = 16 * 1024 * 1024;
