//! Circles in a graph of names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// For each node, those it has an arrow to.
pub(super) type Arrows<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Circles that together hold every arrow which lies on one: short ones first, and none that adds no arrow.
///
/// Not all circles: there may be exponentially many. Those that are left when these are broken, the next run names.
pub(super) fn circles<'a>(arrows: &Arrows<'a>) -> Vec<Vec<&'a str>> {
    let mut all = BTreeSet::new();
    for (&from, targets) in arrows {
        for &to in targets {
            let Some(mut circle) = shortest_way(arrows, to, from) else { continue };
            let first = (0..circle.len()).min_by_key(|&at| circle[at]).unwrap_or(0);
            circle.rotate_left(first);
            all.insert((circle.len(), circle));
        }
    }
    let mut held = BTreeSet::new();
    let circles = all.into_iter().map(|(_, circle)| circle);
    circles.filter(|circle| steps(circle).filter(|&step| held.insert(step)).count() > 0).collect()
}

/// The arrows of a circle.
pub(super) fn steps<'a>(circle: &[&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    circle.iter().copied().zip(circle.iter().copied().cycle().skip(1))
}

/// The nodes of a shortest way, both ends included.
fn shortest_way<'a>(arrows: &Arrows<'a>, from: &'a str, to: &'a str) -> Option<Vec<&'a str>> {
    let mut reached_from = BTreeMap::from([(from, from)]);
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        if node == to {
            let mut way = vec![to];
            while way[way.len() - 1] != from {
                way.push(reached_from[way[way.len() - 1]]);
            }
            way.reverse();
            return Some(way);
        }
        for &next in arrows.get(node).into_iter().flatten() {
            reached_from.entry(next).or_insert_with(|| {
                queue.push_back(next);
                node
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(pairs: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut arrows = Arrows::new();
        for (from, to) in pairs {
            arrows.entry(from).or_default().insert(to);
        }
        circles(&arrows).iter().map(|circle| circle.concat()).collect()
    }

    #[test]
    fn a_graph_without_circles_has_none() {
        assert_eq!(circles_of(&[("a", "b"), ("b", "c"), ("a", "c")]), Vec::<String>::new());
    }

    #[test]
    fn each_circle_is_named_once() {
        assert_eq!(circles_of(&[("c", "a"), ("a", "b"), ("b", "c"), ("x", "a")]), ["abc"]);
        assert_eq!(circles_of(&[("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]), ["ab", "bc"]);
    }

    #[test]
    fn a_long_circle_that_adds_no_arrow_is_left_out() {
        let short = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("c", "a")];
        assert_eq!(circles_of(&short), ["ab", "bc", "abc"], "c to a is on none of the short ones");
        let both = [&short[..], &[("a", "c")]].concat();
        assert_eq!(circles_of(&both), ["ab", "ac", "bc"]);
    }
}
