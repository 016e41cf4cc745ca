//! Closed segments made small. The plain file goes only when the compressed one is on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zstd::zstd_safe::{CParameter, ParamSwitch, compress_bound};

use super::summary::Summarizer;
use super::{Segment, name};

/// Compresses a closed segment and writes its summary. Gives up, without a trace, when `stop` says so.
pub(crate) fn compress(segment: &Segment, stop: &impl Fn() -> bool) -> io::Result<()> {
    let compressed = segment.compressed_path();
    let temporary = with_end(&compressed, TEMPORARY);
    let summary = compress_to(segment, &temporary, stop).inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    let Some(summary) = summary else { return fs::remove_file(temporary) };
    write_summary(segment, &summary)?;
    fs::rename(&temporary, &compressed)?;
    if let Some(dir) = compressed.parent() {
        // Otherwise a power cut could take both files.
        File::open(dir)?.sync_all()?;
    }
    fs::remove_file(segment.path())
}

fn compress_to(segment: &Segment, path: &Path, stop: &impl Fn() -> bool) -> io::Result<Option<super::Summary>> {
    let mut file = create(path)?;
    let mut compressor = zstd::bulk::Compressor::default();
    for parameter in PARAMETERS {
        compressor.set_parameter(parameter)?;
    }
    let mut summarizer = Summarizer::default();
    let mut lines = segment.lines()?;
    let mut frame = Vec::new();
    // A frame for each block: a stream would copy all that goes through it, and find less.
    while let Some(block) = lines.next_block()? {
        summarizer.add_all(block);
        frame.resize(compress_bound(block.len()), 0);
        let len = compressor.compress_to_buffer(block, &mut frame)?;
        file.write_all(frame.get(..len).unwrap_or_default())?;
        if stop() {
            return Ok(None);
        }
    }
    file.sync_all()?;
    Ok(Some(summarizer.finish()))
}

fn write_summary(segment: &Segment, summary: &super::Summary) -> io::Result<()> {
    let path = segment.summary_path();
    let temporary = with_end(&path, TEMPORARY);
    // A help to searches: what a power cut leaves of it is whole, or no JSON and passed over. The disk is not waited for, nor
    // those who write beside.
    create(&temporary)?.write_all(&serde_json::to_vec(summary)?)?;
    fs::rename(temporary, path)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

impl Segment {
    pub(super) fn compressed_path(&self) -> PathBuf {
        self.beside(name::COMPRESSED)
    }

    pub(super) fn summary_path(&self) -> PathBuf {
        self.beside(name::SUMMARY)
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.path().with_file_name(format!("{}{end}", self.name()))
    }

    /// Deletes its files.
    pub(crate) fn delete(&self) -> io::Result<()> {
        let _ = fs::remove_file(self.summary_path());
        match fs::remove_file(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// Speed counts: the same processors serve requests. Level 1 takes longer steps where nothing matches, which by itself would
/// leave literals as they are: hashes and ids above all, of which Huffman's code saves a quarter. There is no checksum; each line
/// carries its hash.
const PARAMETERS: [CParameter; 3] = [
    CParameter::CompressionLevel(1),
    CParameter::TargetLength(4),
    CParameter::LiteralCompressionMode(ParamSwitch::Enable),
];

const TEMPORARY: &str = ".tmp";
