//! Columns as their readers find them.

use super::COLUMNS;

#[test]
fn every_column_is_documented() {
    let page = include_str!("../../../../../../docs/audit.md");
    for column in COLUMNS {
        assert!(page.contains(&format!("`{}`", column.name)), "docs/audit.md has no column `{}`", column.name);
    }
}
