//! The work that one evaluation may still do.

use crate::failure::Failure;

/// The work that one condition may do, in steps. A step is one operation, one element, or so many bytes of a text; a
/// condition that uses all of it runs for some milliseconds. Without it, two nested macros over a list that a caller
/// chose would stall the proxy.
const STEPS: usize = 50_000;

/// What is left of the steps of one evaluation.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    /// The budget of one rule for one request.
    pub(crate) const fn new() -> Self {
        Self { left: STEPS }
    }

    /// Spends steps. Once the budget is used up every further step fails, so that neither `||` nor `exists` can hide it.
    pub(crate) const fn spend(&mut self, steps: usize) -> Result<(), Failure> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Failure::Budget)
            }
        }
    }

    /// Uses up what is left.
    pub(crate) const fn exhaust(&mut self) {
        self.left = 0;
    }
}
