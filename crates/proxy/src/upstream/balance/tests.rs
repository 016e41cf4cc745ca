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

#[test]
fn the_turns_of_those_left_out_are_shared_by_all_others() {
    for (weights, out, expected) in [
        (&[1, 1, 1][..], &[][..], &[24, 24, 24][..]),
        (&[1, 1, 1], &[2], &[36, 36, 0]),
        (&[1, 1, 1, 1], &[1], &[24, 0, 24, 24]),
        (&[1, 1, 1, 1], &[1, 2], &[36, 0, 0, 36]),
        (&[2, 1, 1], &[2], &[48, 24, 0]),
        (&[1, 1], &[0, 1], &[0, 0]),
    ] {
        let balance = Balance::new(weights);
        let mut given = vec![0; weights.len()];
        for turn in 0..72 {
            let (point, round) = (turn % balance.sequence.len(), turn / balance.sequence.len());
            let place = next_in_turn(balance.from(point), |place| !out.contains(place), round);
            place.into_iter().for_each(|place| given[place] += 1);
        }
        assert_eq!(given, expected, "{weights:?} without {out:?}");
    }
}
