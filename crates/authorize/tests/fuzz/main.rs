//! Fuzzes what compiles conditions and what evaluates them.
//!
//! Each run tries the kept cases of `corpus.txt` and then as many made-up ones as fit into its time, always the same ones
//! for one seed. `FUZZ_SECONDS=3600 cargo test --release -p authorize --test fuzz` runs an hour, and `FUZZ_SEED=7` tries
//! other cases. A case that fails is printed; mend what it shows and keep it in `corpus.txt`.

#[cfg(test)]
mod grammar;
#[cfg(test)]
mod random;
#[cfg(test)]
mod request;
#[cfg(test)]
mod target;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use identity::{Clock, SystemClock};
use jiff::SignedDuration;

use grammar::Grammar;
use random::Random;

/// Kept cases, one a line; `␤` stands for a new line and `␀` for NUL.
const CORPUS: &str = include_str!("corpus.txt");

/// Panics are noted for the whole process, and so the targets take turns.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn compiling_withstands_any_text() -> Result<(), Found> {
    fuzz(target::fuzz_compile, |grammar| grammar.text())
}

#[test]
fn evaluating_withstands_any_condition() -> Result<(), Found> {
    fuzz(target::fuzz_evaluate, |grammar| grammar.condition())
}

/// A case that a target does not withstand.
struct Found(String);

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tries a target on the kept cases, then on those that `make` makes up.
fn fuzz(target: fn(&[u8]), make: fn(&mut Grammar<'_>) -> String) -> Result<(), Found> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    target::note_panics();
    let kept: Vec<String> = CORPUS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.replace('␤', "\n").replace('␀', "\0"))
        .collect();
    for case in &kept {
        attempt(target, case)?;
    }
    let seed = setting("FUZZ_SEED").unwrap_or(1);
    let end = SystemClock.now() + SignedDuration::from_secs(setting("FUZZ_SECONDS").unwrap_or(6));
    let mut grammar = Grammar::new(Random::new(seed), &kept);
    let mut cases = 0_u64;
    while SystemClock.now() < end {
        attempt(target, &make(&mut grammar))
            .map_err(|Found(why)| Found(format!("seed {seed}, case {cases}: {why}")))?;
        cases += 1;
    }
    let memory = target::peak_memory();
    report(cases, memory);
    if memory > 1 << 30 { Err(Found(format!("seed {seed}: it takes {memory} bytes of memory"))) } else { Ok(()) }
}

#[expect(clippy::print_stdout, reason = "how far a long run went is what its reader looks for")]
fn report(cases: u64, memory: usize) {
    println!("{cases} cases, {} MiB of memory", memory >> 20);
}

/// Tries a case, and says which it was when it fails.
fn attempt(target: fn(&[u8]), case: &str) -> Result<(), Found> {
    catch_unwind(AssertUnwindSafe(|| target(case.as_bytes()))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let why = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
        Found(format!("{why}\nkeep the case in `corpus.txt`:\n{}", case.replace('\n', "␤").replace('\0', "␀")))
    })
}

#[expect(clippy::disallowed_methods, reason = "how long to run is a setting of the one who runs it")]
fn setting(name: &str) -> Option<i64> {
    std::env::var(name).ok()?.parse().ok()
}
