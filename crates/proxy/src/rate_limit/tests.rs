//! Budgets, used up and refilled.

use std::net::Ipv4Addr;

use super::*;

fn limiter(by: RateLimitBy) -> RateLimiter {
    RateLimiter::new(RateLimit { requests: 3, period: Duration::from_secs(30), by })
}

fn ip(text: &str) -> Ip {
    text.parse().unwrap()
}

#[test]
fn a_budget_may_be_used_at_once_and_refills_evenly() {
    let limiter = limiter(RateLimitBy::Client);
    let now = Instant::now();
    let take = |seconds| limiter.take(None, ip("192.0.2.1"), now + Duration::from_secs(seconds));
    for _ in 0..3 {
        assert_eq!(take(0), Ok(()));
    }
    assert_eq!(take(0), Err(Duration::from_secs(10)));
    assert_eq!(take(4), Err(Duration::from_secs(6)));
    assert_eq!(take(10), Ok(()));
    assert_eq!(take(10), Err(Duration::from_secs(10)));
    for _ in 0..3 {
        assert_eq!(take(60), Ok(()));
    }
    assert!(take(60).is_err());
}

#[test]
fn each_has_a_budget_of_its_own() {
    let now = Instant::now();
    let used_up = |limiter: &RateLimiter, user, client| {
        while limiter.take(user, client, now).is_ok() {}
    };
    let by_client = limiter(RateLimitBy::Client);
    used_up(&by_client, Some("ada"), ip("2001:db8:1:2::1"));
    assert!(by_client.take(Some("grace"), ip("2001:db8:1:2::9"), now).is_err());
    assert!(by_client.take(Some("ada"), ip("2001:db8:1:3::1"), now).is_ok());

    let by_user = limiter(RateLimitBy::User);
    used_up(&by_user, Some("ada"), ip("192.0.2.1"));
    assert!(by_user.take(Some("ada"), ip("192.0.2.2"), now).is_err());
    assert!(by_user.take(Some("grace"), ip("192.0.2.1"), now).is_ok());
    used_up(&by_user, None, ip("192.0.2.1"));
    assert!(by_user.take(None, ip("192.0.2.1"), now).is_err());
    assert!(by_user.take(None, ip("192.0.2.2"), now).is_ok());

    let by_both = limiter(RateLimitBy::Both);
    used_up(&by_both, Some("ada"), ip("192.0.2.1"));
    assert!(by_both.take(Some("ada"), ip("192.0.2.2"), now).is_err());
    assert!(by_both.take(Some("grace"), ip("192.0.2.1"), now).is_err());
    assert!(by_both.take(Some("grace"), ip("192.0.2.2"), now).is_ok());
}

#[test]
fn whoever_comes_from_everywhere_shares_one_budget() {
    let limiter = limiter(RateLimitBy::Client);
    let now = Instant::now();
    let taken = (0..70_000u32).filter(|n| limiter.take(None, Ip::new(Ipv4Addr::from(*n).into()), now).is_ok()).count();
    assert_eq!(taken, MAX_BUDGETS + 3);
    assert!(limiter.budgets.lock().unwrap().full_at.len() <= MAX_BUDGETS + 1);
    // Those that are full again make room.
    assert!(limiter.take(None, ip("203.0.113.1"), now + Duration::from_secs(60)).is_ok());
    assert_eq!(limiter.budgets.lock().unwrap().full_at.len(), 1);
}
