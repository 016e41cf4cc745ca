//! When an endpoint is left out, and for how long.

use super::*;

const LIMITS: OutlierDetection = OutlierDetection {
    consecutive_failures: 3,
    ejection_time: Duration::from_secs(30),
    max_ejection_time: Duration::from_secs(70),
};

#[test]
fn only_failures_in_a_row_count() {
    let outlier = Outlier::new();
    assert!(!outlier.failed(&LIMITS) && !outlier.failed(&LIMITS));
    outlier.succeeded();
    assert!(!outlier.failed(&LIMITS) && !outlier.failed(&LIMITS));
    assert!(outlier.failed(&LIMITS));
}

#[test]
fn each_ejection_lasts_longer_until_the_endpoint_has_done_well() {
    let outlier = Outlier::new();
    let mut now = Instant::now();
    for expected in [30, 60, 70, 70] {
        assert_eq!(outlier.eject(&LIMITS, now), Duration::from_secs(expected));
        assert!(outlier.is_ejected());
        now += Duration::from_secs(expected);
    }
    now += LIMITS.max_ejection_time;
    assert_eq!(outlier.eject(&LIMITS, now), Duration::from_secs(30));
}
