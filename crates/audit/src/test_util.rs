//! The log as tests look at it: one value for each request, whether its decision was written ahead or not.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde_json::Value;

use crate::Archive;

/// Returns all records of a directory in their order. What became of a request is added to its record; the first and last
/// lines of segments are left out. For small logs.
///
/// # Errors
/// The directory cannot be read, or a line is no object of JSON.
pub fn records(dir: &Path) -> io::Result<Vec<Value>> {
    let mut records: Vec<Value> = Vec::new();
    let mut ahead = HashMap::new();
    for segment in Archive::open(dir)?.segments() {
        let mut lines = segment.lines()?;
        while let Some(line) = lines.next_line()? {
            let record: Value = serde_json::from_slice(line)?;
            let id = record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            match record.get("kind").and_then(Value::as_str) {
                Some("segment" | "segment_end") => {}
                Some("outcome") if ahead.contains_key(&id) => {
                    let of = ahead.remove(&id).and_then(|index: usize| records.get_mut(index));
                    let (Some(Value::Object(of)), Value::Object(outcome)) = (of, record) else { continue };
                    of.extend(
                        outcome.into_iter().filter(|(key, _)| !["time", "kind", "prev", "hash"].contains(&&**key)),
                    );
                }
                Some(_) | None => {
                    // What else happened to a request has its id, too.
                    ahead.entry(id).or_insert(records.len());
                    records.push(record);
                }
            }
        }
    }
    Ok(records)
}
