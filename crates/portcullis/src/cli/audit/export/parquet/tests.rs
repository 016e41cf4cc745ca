//! Files of more than one row group.

use std::fs::File;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::json;

use super::{Columns, ParquetWriter, ROW_GROUP_BYTES};
use crate::cli::audit::row::Row;

#[test]
fn a_row_group_is_written_when_it_is_full() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = ParquetWriter::start(Box::new(file.reopen().unwrap())).unwrap();
    let record = json!({ "time": "2026-03-01T00:00:00Z", "path": "x".repeat(ROW_GROUP_BYTES / 8) });
    let row = Row::read(&record.to_string()).unwrap();
    for _ in 0..20 {
        let mut columns = Columns::default();
        columns.add(&row);
        writer.write(&mut columns).unwrap();
        assert!(writer.waiting.bytes() < ROW_GROUP_BYTES);
    }
    writer.finish().unwrap();
    let reader = SerializedFileReader::new(File::open(file.path()).unwrap()).unwrap();
    let rows: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(rows, [8, 8, 4]);
}
