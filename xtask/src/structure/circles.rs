//! Circles: files each of which leads to every other.

use std::collections::BTreeSet;

/// Finds the circles in a graph of this many places: the largest first, each in order.
pub(super) fn find(places: usize, arrows: &BTreeSet<(usize, usize)>) -> Vec<Vec<usize>> {
    let reached: Vec<BTreeSet<usize>> = (0..places).map(|place| reach(place, arrows)).collect();
    let mut circles = BTreeSet::new();
    for place in 0..places {
        let circle: Vec<usize> =
            reached[place].iter().copied().filter(|&other| reached[other].contains(&place)).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    let mut circles: Vec<_> = circles.into_iter().collect();
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

/// Returns everything that arrows lead to from a place, and the place itself where they lead back.
fn reach(from: usize, arrows: &BTreeSet<(usize, usize)>) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut ahead = vec![from];
    while let Some(place) = ahead.pop() {
        let next = arrows.range((place, 0)..=(place, usize::MAX)).map(|&(_, to)| to);
        ahead.extend(next.filter(|&to| reached.insert(to)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arrows: &[(usize, usize)], expected: &[&[usize]]) {
        assert_eq!(find(6, &arrows.iter().copied().collect()), expected);
    }

    #[test]
    fn circles_are_found() {
        check(&[], &[]);
        check(&[(0, 1), (1, 2), (0, 2)], &[]);
        check(&[(0, 1), (1, 0)], &[&[0, 1]]);
        check(&[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 3), (4, 5)], &[&[0, 1, 2], &[3, 4]]);
    }
}
