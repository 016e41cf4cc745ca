//! `portcullis audit tail`.

mod printer;

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use ::audit::{Order, Scanned};
use clap::Args;
use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use self::printer::Printer;
use super::newest::{Kept, Newest};
use super::search::{self, Search, SearchArgs};
use crate::cli::{self, Exit, TableOrJson};

/// Print the last records of the audit log, and with `--follow` those that come
///
/// A request is printed when it has ended; one that takes longer is printed without its outcome, and again when it has ended.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Tail {
    #[command(flatten)]
    search: SearchArgs,
    /// How many of the last records are printed at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    lines: u32,
    /// Go on with the records that come, until it is interrupted
    #[arg(long, short)]
    follow: bool,
    /// How records are printed: for people, or as one JSON object a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: TableOrJson,
}

impl Tail {
    pub(super) fn execute(&self) -> Exit {
        let search = match self.search.read() {
            Ok(search) => search,
            Err(exit) => return exit,
        };
        if !search.dir.is_dir() {
            if !self.follow {
                return search::refuse(&search.dir, &io::ErrorKind::NotFound.into());
            }
            cli::complain(format_args!("portcullis: `{}` is not there yet: waiting for it", search.dir.display()));
        }
        self.tail(&search).unwrap_or_else(|error| search::refuse(&search.dir, &error))
    }

    fn tail(&self, search: &Search) -> io::Result<Exit> {
        let mut end = ::audit::Tail::open(&search.dir, &search.filter)?;
        let (scanned, kept) = self.last(&mut end)?;
        let mut printer = match Printer::start(self.format, search.zone.clone(), &kept, self.follow) {
            Ok(printer) => printer,
            Err(error) => return Ok(cli::printed(Err(error))),
        };
        if !self.follow {
            return Ok(search::conclude(&scanned, !kept.is_empty()));
        }
        drop(kept);
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! {
                _ = interrupt.recv() => Ok(Exit::Done),
                _ = terminate.recv() => Ok(Exit::Done),
                () = reader_left() => Ok(Exit::Done),
                ended = go_on(&mut end, &mut printer) => ended,
            }
        })
    }

    /// Finds the last records that there are, the oldest of them first.
    fn last(&self, end: &mut ::audit::Tail<'_>) -> io::Result<(Scanned, Vec<Kept>)> {
        let newest = Newest::new(self.lines as usize, Order::Newest);
        let mut keep = |found: &::audit::Found<'_>| {
            newest.keep(found);
            ControlFlow::Continue(())
        };
        let _ = end.poll(&mut keep)?;
        let _ = end.awaited(&mut keep);
        let scanned = end.before(&newest);
        let mut kept = newest.into_sorted();
        kept.reverse();
        Ok((scanned, kept))
    }
}

/// Prints what comes, until it cannot be read or printed.
async fn go_on(end: &mut ::audit::Tail<'_>, printer: &mut Printer) -> io::Result<Exit> {
    let mut polls = tokio::time::interval(INTERVAL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for _ in 0..POLLS_TO_WAIT {
            polls.tick().await;
            let _ = end.poll(|found| printer.print(found))?;
            if let Err(error) = printer.flush() {
                return Ok(cli::printed(Err(error)));
            }
        }
        let _ = end.overdue(|found| printer.print(found));
    }
}

/// Waits until nobody reads the pipe any more that standard output is. All else has no reader, or tells when it is written to.
async fn reader_left() {
    // Opened anew: waiting for a pipe sets it to what blocking writes cannot stand.
    match pipe::OpenOptions::new().open_sender(STDOUT) {
        Ok(stdout) => drop(stdout.ready(Interest::ERROR).await),
        Err(error) if error.raw_os_error() == Some(NO_READER) => {}
        Err(_) => std::future::pending().await,
    }
}

const STDOUT: &str = "/proc/self/fd/1";
/// `ENXIO`: what opening a pipe says that nobody reads (fifo(7)).
const NO_READER: i32 = 6;

/// How often the log is looked at: soon enough for people, and a handful of calls of the system.
const INTERVAL: Duration = Duration::from_millis(200);

/// A request that has not ended after so many looks at the log, or twice as many, is printed as it is.
const POLLS_TO_WAIT: u32 = 5;

const EXAMPLES: &str = "\
Examples:
  portcullis audit tail --follow
  portcullis audit tail --follow --decision deny --format json | jq .reason

Exit codes: 0 found, or interrupted while it followed, 1 nothing found, 2 usage, or the log cannot be read";
