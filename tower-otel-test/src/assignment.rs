//! A bipartite matching of expected and recorded spans.

/// For each recorded span, the index of its expected span.
#[derive(Debug)]
pub(crate) struct Assignment(Vec<Option<usize>>);

impl Assignment {
    /// Returns an assignment of as many expected spans as possible, each to one of its candidates. `candidates` has the indices
    /// of the matching recorded spans for each expected span.
    pub(crate) fn largest(candidates: &[Vec<usize>], recorded: usize) -> Self {
        let mut assignment = Self(vec![None; recorded]);
        for (index, of_one) in candidates.iter().enumerate() {
            if !assignment.assign_free(index, of_one) {
                assignment.assign(index, candidates, &mut vec![false; recorded]);
            }
        }
        assignment
    }

    /// Returns the index of the recorded span that is assigned to this expected span.
    pub(crate) fn recorded(&self, expected: usize) -> Option<usize> {
        self.0.iter().position(|owner| *owner == Some(expected))
    }

    /// Returns whether no expected span is assigned to this recorded span.
    pub(crate) fn is_free(&self, recorded: usize) -> bool {
        self.0.get(recorded) == Some(&None)
    }

    /// Returns whether every recorded span is assigned.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    /// Assigns one of the candidates. If all are assigned, reassigns them along an augmenting path.
    fn assign(&mut self, expected: usize, candidates: &[Vec<usize>], visited: &mut [bool]) -> bool {
        for &index in candidates.get(expected).into_iter().flatten() {
            let Some(was_visited) = visited.get_mut(index) else {
                continue;
            };
            if std::mem::replace(was_visited, true) {
                continue;
            }
            let owner = self.0.get(index).copied().flatten();
            if owner.is_none_or(|owner| self.assign(owner, candidates, visited)) {
                if let Some(slot) = self.0.get_mut(index) {
                    *slot = Some(expected);
                }
                return true;
            }
        }
        false
    }

    /// Assigns the first candidate that is not assigned. Returns `false` if there is none.
    pub(crate) fn assign_free(&mut self, expected: usize, candidates: &[usize]) -> bool {
        let free = candidates.iter().find(|index| self.is_free(**index));
        let slot = free.and_then(|index| self.0.get_mut(*index));
        let is_assigned = slot.is_some();
        if let Some(slot) = slot {
            *slot = Some(expected);
        }
        is_assigned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assigned_span_is_reassigned_if_that_assigns_one_more() {
        let candidates = [vec![0, 1], vec![0], vec![2, 1], vec![1]];
        let assignment = Assignment::largest(&candidates, 3);
        assert!(assignment.is_complete());
        let assigned = (0..4).map(|expected| assignment.recorded(expected));
        assert_eq!(assigned.flatten().count(), 3);
        assert_eq!(assignment.recorded(1), Some(0));
    }
}
