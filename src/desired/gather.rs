//! Warnings of one kind are gathered: a file with many of them has one warning that counts them.

use crate::model::{Code, Diagnostic, Severity};
use std::collections::HashMap;

/// How many different warnings of one code are shown one by one.
const FEW: usize = 3;

/// How many further places a gathered warning shows.
const PLACES: usize = 3;

/// Shows each warning once, and many warnings of one code as one, with their number and the first
/// places. Errors are left alone: each is to be corrected at its place.
pub(super) fn warnings(problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let same = |problem: &Diagnostic| (problem.code, problem.message.clone(), problem.hint.clone());
    let once = gather(problems, same, |more| {
        if more == 1 { "also at one other place".to_owned() } else { format!("also at {more} other places") }
    });
    let mut kinds: HashMap<Code, usize> = HashMap::new();
    for problem in once.iter().filter(|problem| problem.severity == Severity::Warning) {
        *kinds.entry(problem.code).or_default() += 1;
    }
    let kind = |problem: &Diagnostic| {
        let many = kinds.get(&problem.code).is_some_and(|count| *count > FEW);
        (
            problem.code,
            if many { String::new() } else { problem.message.clone() },
            problem.hint.clone().filter(|_| !many),
        )
    };
    gather(once, kind, |more| format!("{more} more of this kind"))
}

/// Keeps the first of the warnings that are alike, and adds the number and places of the others to it.
fn gather<K: Eq + std::hash::Hash>(
    problems: Vec<Diagnostic>,
    alike: impl Fn(&Diagnostic) -> K,
    others: impl Fn(usize) -> String,
) -> Vec<Diagnostic> {
    let mut kept: Vec<(Diagnostic, usize)> = Vec::with_capacity(problems.len());
    let mut first: HashMap<K, usize> = HashMap::new();
    for problem in problems {
        if problem.severity != Severity::Warning {
            kept.push((problem, 0));
            continue;
        }
        match first.get(&alike(&problem)).and_then(|at| kept.get_mut(*at)) {
            None => {
                first.insert(alike(&problem), kept.len());
                kept.push((problem, 0));
            }
            Some((before, more)) => {
                *more += 1;
                if *more <= PLACES {
                    before.also.extend(problem.place.map(|place| (place, "the same here".to_owned())));
                }
            }
        }
    }
    let counted = |(mut problem, more): (Diagnostic, usize)| {
        if more > 0 {
            problem.message = format!("{}; {}", problem.message, others(more));
        }
        problem
    };
    kept.into_iter().map(counted).collect()
}
