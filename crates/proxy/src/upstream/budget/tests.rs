//! How many retries there are.

use std::time::Duration;

use super::*;

fn spend(budget: &Budget, now: Instant) -> usize {
    (0..1000).take_while(|_| budget.withdraw(now)).count()
}

#[test]
fn a_burst_then_a_share_of_the_requests_and_a_few_each_second() {
    let budget = Budget::new(20);
    let now = Instant::now();
    assert_eq!(spend(&budget, now), 20);
    (0..50).for_each(|_| budget.deposit());
    assert_eq!(spend(&budget, now), 10);
    assert_eq!(spend(&budget, now + Duration::from_secs(3)), 6);
    assert_eq!(spend(&budget, now + Duration::from_secs(3600)), 20);
}

#[test]
fn without_a_budget_there_is_no_retry() {
    let budget = Budget::new(0);
    (0..50).for_each(|_| budget.deposit());
    assert_eq!(spend(&budget, Instant::now() + Duration::from_secs(60)), 0);
}
