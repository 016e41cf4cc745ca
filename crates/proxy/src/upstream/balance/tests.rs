//! Who is chosen.

use std::collections::HashMap;

use super::*;

#[test]
fn weights_are_spread_as_smoothly_as_can_be() {
    let check = |weights: &[u32], expected: &[usize]| assert_eq!(smooth(weights), expected, "for {weights:?}");
    check(&[1], &[0]);
    check(&[1, 1, 1], &[0, 1, 2]);
    check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
    check(&[50, 50], &[0, 1]);
    check(&[30, 10], &[0, 0, 1, 0]);
    check(&[], &[]);
}

#[test]
fn consecutive_numbers_scatter_evenly() {
    let mut counts = HashMap::new();
    for number in 0..3000 {
        *counts.entry(scatter(number) % 3).or_insert(0_u32) += 1;
    }
    assert!(counts.values().all(|count| (900..1100).contains(count)), "{counts:?}");
}
