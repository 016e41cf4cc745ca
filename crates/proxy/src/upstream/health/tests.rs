//! When checks take an endpoint out, and when they bring it back.

use super::*;
use crate::config::{EndpointScheme, HealthProbe};
use crate::test_support;
use crate::upstream::Pools;

#[tokio::test]
async fn the_first_result_decides_and_later_ones_by_threshold() {
    let check = HealthCheck {
        probe: HealthProbe::Tcp,
        interval: Duration::from_secs(3600),
        jitter: Duration::ZERO,
        timeout: Duration::from_secs(1),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    };
    let route = test_support::route("app.example.com", test_support::nobody().await);
    assert_eq!(route.to[0].scheme, EndpointScheme::Http);
    let endpoint = Pools::default().endpoint(&route, &route.to[0]).unwrap();
    let health = Health::new(check);
    let mut streak = Streak::default();
    assert!(health.is_good(), "believed before it was asked");
    let (good, bad) = (|| Ok(()), || Err("refused".to_owned()));
    for (result, expected) in [
        (bad(), false),
        (good(), false),
        (bad(), false),
        (good(), false),
        (good(), true),
        (bad(), true),
        (bad(), true),
        (good(), true),
        (bad(), true),
        (bad(), true),
        (bad(), false),
    ] {
        health.found(&endpoint, &mut streak, result.clone());
        assert_eq!(health.is_good(), expected, "after {result:?}");
    }
}
