//! `portcullis audit summary`.

mod tally;

use std::io::Write as _;

use ::audit::{Order, scan};
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use self::tally::{Counted, Key, Tallying};
use super::fit::{self, Layout, SHORT_TIME, WHOLE_TIME, Widths};
use super::search::{self, SearchArgs};
use crate::cli::{self, Exit, TableOrJson, text};

/// Count records of the audit log by who, what, where from, and how it was decided
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Summary {
    #[command(flatten)]
    search: SearchArgs,
    /// What records are counted by
    #[arg(long, value_name = "FIELD", value_enum, value_delimiter = ',', default_value = "user,decision")]
    by: Vec<Key>,
    /// How many groups are printed, the largest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// How groups are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: TableOrJson,
}

impl Summary {
    pub(super) fn execute(&self) -> Exit {
        let search = match self.search.read() {
            Ok(search) => search,
            Err(exit) => return exit,
        };
        let tallying = Tallying::new(&self.by);
        let scanned = match scan(&search.dir, &search.filter, Order::Oldest, &tallying) {
            Ok(scanned) => scanned,
            Err(error) => return search::refuse(&search.dir, &error),
        };
        let (groups, others) = tallying.into_sorted();
        let shown = groups.get(..self.top as usize).unwrap_or(&groups);
        let out = match self.format {
            TableOrJson::Table => self.table(shown, &search.zone),
            TableOrJson::Json => shown.iter().map(|group| format!("{}\n", self.json(group))).collect(),
        };
        let printed = cli::printed(std::io::stdout().lock().write_all(out.as_bytes()));
        if groups.len() > shown.len() {
            cli::complain(format_args!("portcullis: {} more groups: raise `--top`", groups.len() - shown.len()));
        }
        if others > 0 {
            cli::complain(format_args!(
                "portcullis: {others} records are in no group: there are more than {} groups; narrow the search",
                tally::MOST_GROUPS
            ));
        }
        let concluded = search::conclude(&scanned, !groups.is_empty());
        if printed == Exit::Done { concluded } else { printed }
    }

    fn table(&self, groups: &[Counted], zone: &TimeZone) -> String {
        if groups.is_empty() {
            return String::new();
        }
        let head: Vec<_> =
            HEAD.into_iter().map(str::to_owned).chain(self.by.iter().map(|key| key.name().to_uppercase())).collect();
        let mut widths: Vec<_> = head.iter().map(String::len).collect();
        for group in groups {
            for (width, cell) in widths.iter_mut().zip(cells(group, zone, WHOLE_TIME)) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let keys: Vec<_> = (HEAD.len()..head.len()).collect();
        let widths = Widths::fitting(
            &widths,
            &keys,
            &[
                Layout { replaced: &[], least: 16 },
                Layout { replaced: &[(FIRST, SHORT_TIME), (LAST, SHORT_TIME)], least: 10 },
                Layout { replaced: &[(FIRST, 0), (LAST, SHORT_TIME)], least: 4 },
            ],
        );
        let rows = groups.iter().map(|group| cells(group, zone, widths.of(LAST)));
        std::iter::once(head).chain(rows).map(|cells| format!("{}\n", widths.line(cells))).collect()
    }

    fn json(&self, (keys, group): &Counted) -> Value {
        let mut json: Map<_, _> =
            self.by.iter().zip(keys).map(|(by, key)| (by.name().to_owned(), text::safe(key).into())).collect();
        json.insert("count".to_owned(), group.count.into());
        json.insert("first".to_owned(), group.first.to_string().into());
        json.insert("last".to_owned(), group.last.to_string().into());
        json.into()
    }
}

fn cells((keys, group): &Counted, zone: &TimeZone, width_of_times: usize) -> Vec<String> {
    let time =
        |time: jiff::Timestamp| time.to_zoned(zone.clone()).strftime(fit::time_format(width_of_times)).to_string();
    let shown = |key: &str| if key.is_empty() { "-".to_owned() } else { text::cut(&text::safe(key), WIDEST) };
    let cells = [group.count.to_string(), time(group.first), time(group.last)].into_iter();
    cells.chain(keys.iter().map(|key| shown(key))).collect()
}

const HEAD: [&str; 3] = ["COUNT", "FIRST", "LAST"];
const FIRST: usize = 1;
const LAST: usize = 2;

/// No cell of a table is wider.
const WIDEST: usize = 60;

const EXAMPLES: &str = "\
Examples:
  portcullis audit summary --by user,ip --since 7d
  portcullis audit summary --by route,decision --status 5xx --top 10

Exit codes: 0 counted, 1 nothing found, 2 usage, or the log cannot be read";
