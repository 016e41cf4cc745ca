//! Macros that go through a list.

use super::Evaluation;
use super::cost::weight;
use crate::code::{Fold, Macro};
use crate::failure::Failure;
use crate::value::{List, Value};

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn fold(&mut self, fold: &'a Fold) -> Result<Value<'a>, Failure> {
        let range = self.value(&fold.range)?;
        self.spend(weight(&range))?;
        let items = match range {
            Value::List(list) => list,
            Value::Map(map) => map.keys(),
            _ => return Err(Failure::NoOverload("a macro")),
        };
        match fold.how {
            Macro::All => self.decide(fold, &items, false),
            Macro::Exists => self.decide(fold, &items, true),
            Macro::ExistsOne => self.exists_one(fold, &items),
            Macro::Map => self.transform(fold, &items),
            Macro::Filter => self.filter(fold, &items),
        }
    }

    fn with<T>(&mut self, item: Value<'a>, run: impl FnOnce(&mut Self) -> T) -> T {
        self.locals.push(item);
        let result = run(self);
        self.locals.pop();
        result
    }

    /// `all` and `exists` are `&&` and `||` over all elements: one that decides wins over errors on others.
    fn decide(&mut self, fold: &'a Fold, items: &List<'a>, decisive: bool) -> Result<Value<'a>, Failure> {
        let mut failed = None;
        for item in items.iter() {
            match self.with(item, |this| this.truth(&fold.body, "a macro")) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(Failure::Budget) => return Err(Failure::Budget),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn exists_one(&mut self, fold: &'a Fold, items: &List<'a>) -> Result<Value<'a>, Failure> {
        let mut count = 0_usize;
        for item in items.iter() {
            if self.with(item, |this| this.truth(&fold.body, "exists_one"))? {
                count += 1;
            }
        }
        Ok(Value::Bool(count == 1))
    }

    fn transform(&mut self, fold: &'a Fold, items: &List<'a>) -> Result<Value<'a>, Failure> {
        let mut made = Vec::new();
        for item in items.iter() {
            let value = self.with(item, |this| match &fold.filter {
                Some(filter) if !this.truth(filter, "map")? => Ok(None),
                Some(_) | None => this.value(&fold.body).map(Some),
            })?;
            made.extend(value);
        }
        Ok(Value::list(made))
    }

    fn filter(&mut self, fold: &'a Fold, items: &List<'a>) -> Result<Value<'a>, Failure> {
        let mut kept = Vec::new();
        for item in items.iter() {
            if self.with(item.clone(), |this| this.truth(&fold.body, "filter"))? {
                kept.push(item);
            }
        }
        Ok(Value::list(kept))
    }
}
