//! What a trial found, as the verdict that is told.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::count::{Count, Versions};
use super::desk::Share;
use super::work::Work;
use crate::columns::census::Census;
use crate::engine::Rule;
use crate::replay::coverage::Coverage;
use crate::replay::diff::facts;
use crate::replay::run::Unlike;
use crate::replay::verdict::{ChangeKind, RuleVerdict, Verdict};
use crate::rules::update::Change;

pub(super) fn verdict(
    work: &Work<'_>,
    changes: &[Change],
    mut sum: Share,
    coverage: Coverage,
    is_broken: bool,
) -> Verdict {
    let all = if work.set.rules.is_empty() {
        0
    } else {
        work.kept.len() as u64
    };
    let untried = all.saturating_sub(sum.traces);
    if is_broken {
        let reason = "a thread of the trial ended early".to_owned();
        let reasons = sum.reasons.iter_mut();
        reasons.for_each(|known| *known = known.take().or(Some(reason.clone())));
    }
    let counts = std::mem::take(&mut sum.counts);
    let rules = changes.iter().zip(&work.versions).zip(counts);
    let rules = rules.map(|((change, versions), count)| {
        of_change(work, change, versions, count, &mut sum, untried)
    });
    Verdict {
        rules: rules.collect(),
        coverage,
        out_of_time: untried > 0 && Instant::now() >= work.until,
    }
}

fn of_change(
    work: &Work<'_>,
    change: &Change,
    versions: &Versions,
    count: Count,
    sum: &mut Share,
    untried: u64,
) -> RuleVerdict {
    let version = |rule: &Option<Arc<Rule>>| rule.as_ref().map(|rule| rule.version.clone());
    let mut reason = |rule: Option<u32>| sum.reasons.get_mut(rule? as usize)?.take();
    let (fault, fault_before) = (reason(versions.after), reason(versions.before));
    let lost = |rule: Option<u32>, unjudged: u64| rule.map_or(0, |_| unjudged + untried);
    let unjudged = lost(versions.after, count.unjudged);
    let unjudged_before = lost(versions.before, count.unjudged_before);
    let candidates = versions
        .after
        .and_then(|after| sum.candidates.get(after as usize));
    let is_removed = change.after.is_none();
    RuleVerdict {
        id: change.id.clone(),
        change: match (&change.before, &change.after) {
            (None, _) => ChangeKind::Added,
            (Some(_), Some(_)) => ChangeKind::Edited,
            (Some(_), None) => ChangeKind::Removed,
        },
        before: version(&change.before),
        after: version(&change.after),
        traces: (work.kept.len() as u64).saturating_sub(if is_removed {
            unjudged_before
        } else {
            unjudged
        }),
        candidates: candidates.copied().unwrap_or_default(),
        fires: count.fires,
        fired_before: count.fired_before,
        newly: count.newly.side(work.kept),
        no_longer: count.no_longer.side(work.kept),
        otherwise: count.otherwise.side(work.kept),
        unchanged: count.unchanged,
        unjudged,
        fault,
        unjudged_before,
        fault_before,
        facts: match (&change.before, &change.after) {
            (Some(before), Some(after)) => facts(&before.manifest, &after.manifest),
            _ => Vec::new(),
        },
        unlike: unlike(work, change, versions, &sum.censuses),
        silence: None,
    }
}

/// Values of a type that the new version does not compare with, the most frequent first.
fn unlike(
    work: &Work<'_>,
    change: &Change,
    versions: &Versions,
    censuses: &[Census],
) -> Vec<(Unlike, u64)> {
    let mut all: BTreeMap<Unlike, u64> = BTreeMap::new();
    for (index, column) in versions
        .after
        .into_iter()
        .flat_map(|rule| work.columns_of(rule))
    {
        let census = censuses.get(index).copied().unwrap_or_default();
        for (tag, count) in census.unlike(column.compared.into()) {
            *all.entry(Unlike::new(&change.id, &column.key, tag))
                .or_default() += count;
        }
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(_, count)| Reverse(*count));
    all
}
