//! What changed rules do to the kept traces: counts, and the newest trace of each kind drawn small.
//!
//! A few rules are told in full, more of them a line each, and of very many only the first, so that a screen is enough.

use std::cmp::Reverse;

use super::page::Page;
use super::report::Context;
use crate::live::SaveReport;
use crate::replay::coverage::Coverage;
use crate::replay::verdict::{ChangeKind, Nearest, RuleVerdict, Side, Silence, Verdict};
use crate::signal::stamp::hex;
use crate::signal::{Certainty, Emission, Signal};
use crate::sinks::paint::Style;
use crate::sinks::text::{clean, column, counted, grouped, many, width};
use crate::sinks::waterfall;

/// Rules that are told in full.
const IN_FULL: usize = 3;

/// Rules that are told in a line each, where there are more.
const LISTED: usize = 12;

/// Columns of a rule's id in a list.
const ID: usize = 30;

/// Lines of each drawing, by how many there are: together about half a screen of forty lines.
const DRAWING_LINES: [usize; 3] = [12, 10, 8];

/// Parts of a silent rule's condition that are named; the first decided.
const PARTS: usize = 4;

/// Fields of other types than a rule compares with.
const UNLIKE: usize = 3;

/// Lines of one sentence.
const LINES: usize = 3;

/// Writes the verdict of a report.
pub(super) fn write(
    page: &mut Page,
    verdict: &Verdict,
    report: &SaveReport,
    context: &Context<'_>,
) {
    if verdict.coverage.traces == 0 {
        return untried(page, verdict, context);
    }
    if verdict.rules.len() > IN_FULL {
        list(page, &verdict.rules);
    } else {
        let drawings = choose(&verdict.rules);
        for rule in &verdict.rules {
            in_full(page, rule, &drawings);
        }
    }
    page.text(0, Style::Faint, &coverage(&verdict.coverage, report), LINES);
    if verdict.out_of_time {
        let text = "warning: the time for this was up before all of them were tried";
        page.text(0, Style::Bad, text, LINES);
    }
}

/// Without traces all that can be said is what is in force.
fn untried(page: &mut Page, verdict: &Verdict, context: &Context<'_>) {
    for rule in verdict.rules.iter().take(LISTED) {
        let said = match rule.change {
            ChangeKind::Added => "is new",
            ChangeKind::Edited => "is in force in its new version",
            ChangeKind::Removed => "is removed",
        };
        page.named(0, &rule.id, said);
    }
    more(page, verdict.rules.get(LISTED..).unwrap_or_default());
    page.text(
        0,
        Style::Doubtful,
        "there is no trace yet to try it on",
        LINES,
    );
    for line in context.no_traffic {
        page.text(2, Style::Faint, line, LINES);
    }
}

/// What a drawing shows of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Newly,
    NoLonger,
    Otherwise,
    Nearest,
}

/// Which drawings there is room for: of each rule its first before any rule's second.
fn choose(rules: &[RuleVerdict]) -> Vec<(&str, Shows)> {
    let mut ranked = Vec::new();
    for rule in rules {
        let sides = [
            (Shows::Newly, rule.newly.first.is_some()),
            (
                Shows::NoLonger,
                rule.no_longer.first.is_some() && rule.change != ChangeKind::Removed,
            ),
            (Shows::Otherwise, rule.otherwise.first.is_some()),
            (Shows::Nearest, nearest(rule).is_some()),
        ];
        let there = sides.into_iter().filter(|(_, is_there)| *is_there);
        ranked.extend(
            there
                .enumerate()
                .map(|(rank, (shows, _))| (rank, rule.id.as_str(), shows)),
        );
    }
    ranked.sort_by_key(|(rank, ..)| *rank);
    ranked
        .into_iter()
        .take(DRAWING_LINES.len())
        .map(|(_, id, shows)| (id, shows))
        .collect()
}

fn nearest(rule: &RuleVerdict) -> Option<&Nearest> {
    rule.silence.as_ref()?.nearest.as_ref()
}

fn in_full(page: &mut Page, rule: &RuleVerdict, drawings: &[(&str, Shows)]) {
    page.named(0, &rule.id, &sentence(rule));
    if let Some(differences) = differences(rule) {
        page.text(2, Style::Strong, &differences, LINES);
    }
    // They alter no verdict, but what signals say.
    for fact in &rule.facts {
        let text = format!("{}: {} → {}", fact.fact, fact.before, fact.after);
        page.text(2, Style::Label, &text, LINES);
    }
    unjudged(page, "", rule.unjudged, rule.fault.as_deref());
    let before = "of the version before ";
    unjudged(
        page,
        before,
        rule.unjudged_before,
        rule.fault_before.as_deref(),
    );
    if let Some(silence) = &rule.silence {
        silent(page, rule, silence);
    }
    unlike(page, rule);
    let lines = drawings
        .len()
        .checked_sub(1)
        .and_then(|index| DRAWING_LINES.get(index).copied())
        .unwrap_or_default();
    for (_, shows) in drawings.iter().filter(|(id, _)| *id == rule.id) {
        match shows {
            Shows::Newly => side(page, "+ newly", &rule.newly, lines),
            Shows::NoLonger => side(page, "- no longer", &rule.no_longer, lines),
            Shows::Otherwise => side(page, "~ other evidence", &rule.otherwise, lines),
            Shows::Nearest => near(page, nearest(rule), lines),
        }
    }
}

/// Traces that a version could not judge, which are of no kind.
fn unjudged(page: &mut Page, version: &str, count: u64, why: Option<&str>) {
    if count > 0 {
        let why = why.unwrap_or("a bound was hit");
        let text = format!("warning: no verdict {version}on {}: {why}", traces(count));
        page.text(2, Style::Bad, &text, LINES);
    }
}

/// On how many traces a rule fires.
fn sentence(rule: &RuleVerdict) -> String {
    if rule.traces == 0 && rule.unjudged > 0 {
        let is_new = match rule.change {
            ChangeKind::Added => "is new and ",
            _ => "",
        };
        return format!("{is_new}judged no trace");
    }
    let fires = of(rule.fires, rule.traces);
    match rule.change {
        ChangeKind::Added => format!("is new and fires on {fires}"),
        ChangeKind::Edited if changed(rule) == 0 && rule.fires == rule.fired_before => {
            format!("fires on {fires}, as before")
        }
        ChangeKind::Edited => format!("fires on {fires} (before: {})", grouped(rule.fired_before)),
        ChangeKind::Removed => {
            format!(
                "is removed; it fired on {}",
                of(rule.fired_before, rule.traces)
            )
        }
    }
}

/// What an edit changed of that.
fn differences(rule: &RuleVerdict) -> Option<String> {
    if rule.change != ChangeKind::Edited || changed(rule) == 0 {
        return None;
    }
    let mut text = format!(
        "{} newly, {} no longer, {} with other evidence",
        grouped(rule.newly.traces),
        grouped(rule.no_longer.traces),
        grouped(rule.otherwise.traces)
    );
    if rule.unchanged > 0 {
        text.push_str(&format!(", {} as before", grouped(rule.unchanged)));
    }
    Some(text)
}

/// Why a rule fires on nothing.
fn silent(page: &mut Page, rule: &RuleVerdict, silence: &Silence) {
    for absent in silence.absent.iter().take(PARTS) {
        page.text(2, Style::Doubtful, &format!("no trace has {absent}"), LINES);
    }
    if silence.absent.is_empty() && silence.candidates < rule.traces {
        let text = format!(
            "{} of them had what it looks for at all",
            grouped(silence.candidates)
        );
        page.text(2, Style::Faint, &text, LINES);
    }
    if let Some(why) = &silence.unexplained {
        let text = format!("why it is silent can't be told: {why}");
        page.text(2, Style::Doubtful, &text, LINES);
    }
    if !silence.never.is_empty() {
        page.text(2, Style::Label, "never true:", LINES);
    }
    for never in silence.never.iter().take(PARTS) {
        page.text(4, Style::Strong, &one_line(&never.part), LINES);
        page.text(6, Style::Doubtful, &never.why, LINES);
    }
    let rest = silence.never.len().saturating_sub(PARTS) as u64;
    if rest > 0 {
        page.text(4, Style::Faint, &format!("… {rest} more"), LINES);
    }
}

/// Values of types that the rule does not compare with, where they are not named as the reason already.
fn unlike(page: &mut Page, rule: &RuleVerdict) {
    let is_named = |field: &str| {
        let never = rule.silence.iter().flat_map(|silence| &silence.never);
        never
            .into_iter()
            .any(|n| n.why.contains(&format!("`{field}`")))
    };
    let unlike = rule
        .unlike
        .iter()
        .filter(|(unlike, _)| !is_named(&unlike.field));
    for (unlike, count) in unlike.take(UNLIKE) {
        let text = format!(
            "`{}` was {} in {}, a type that it is not compared with",
            unlike.field,
            unlike.tag,
            counted(*count, unlike.table.item())
        );
        page.text(2, Style::Doubtful, &text, LINES);
    }
}

/// The newest trace of one kind.
fn side(page: &mut Page, kind: &str, side: &Side, lines: usize) {
    let Some(emission) = &side.first else { return };
    let signal = &emission.signal;
    let newest = match side.traces {
        0 | 1 => String::new(),
        many => format!(", 1 of {}", grouped(many)),
    };
    let head = format!(
        "{kind}{newest}: {}, trace {}{}",
        operation(signal),
        signal.trace_id,
        match signal.certainty {
            Certainty::Certain => "",
            Certainty::Unsure => " (unsure)",
        }
    );
    page.text(2, Style::Label, &head, LINES);
    page.text(4, Style::Bad, &broke(signal), 1);
    draw(page, emission, lines);
}

fn draw(page: &mut Page, emission: &Emission, lines: usize) {
    let Some(outline) = &emission.outline else {
        return;
    };
    let evidence = &emission.signal.evidence;
    for line in waterfall::small(evidence, outline, page.paint, page.width, lines) {
        page.line(&line);
    }
}

fn near(page: &mut Page, nearest: Option<&Nearest>, lines: usize) {
    let Some(nearest) = nearest else { return };
    let head = format!(
        "nearest: trace {}, where {} of {} parts hold",
        hex(&nearest.trace_id),
        nearest.held,
        nearest.parts
    );
    page.text(2, Style::Label, &head, LINES);
    for line in waterfall::small(
        &nearest.evidence,
        &nearest.outline,
        page.paint,
        page.width,
        lines,
    ) {
        page.line(&line);
    }
}

fn operation(signal: &Signal) -> String {
    let [service, name] = [&signal.root_service, &signal.root_name]
        .map(|part| clean(part.as_deref().unwrap_or("?"), 60));
    format!("{name} of {service}")
}

fn broke(signal: &Signal) -> String {
    let clauses: Vec<String> = signal
        .clauses
        .iter()
        .map(|clause| format!("{} {{ {} }}", clause.kind.name(), one_line(&clause.text)))
        .collect();
    format!("broke {}", clauses.join(", "))
}

/// Many rules, a line each: those that fire on other traces than before come first.
fn list(page: &mut Page, rules: &[RuleVerdict]) {
    let mut rules: Vec<&RuleVerdict> = rules.iter().collect();
    rules.sort_by_key(|rule| (Reverse(changed(rule)), Reverse(rule.fires)));
    let (shown, rest) = rules.split_at(rules.len().min(LISTED));
    let widest = shown.iter().map(|rule| width(&clean(&rule.id, ID))).max();
    for rule in shown {
        let mut said = sentence(rule);
        if let Some(differences) = differences(rule) {
            said.push_str(&format!(": {differences}"));
        }
        if rule.unjudged > 0 {
            said.push_str(&format!("; no verdict on {}", traces(rule.unjudged)));
        }
        page.named(0, &column(&rule.id, widest.unwrap_or_default()), &said);
    }
    more(page, rest.iter().copied());
}

/// Rules that are not told one by one.
fn more<'a>(page: &mut Page, rules: impl IntoIterator<Item = &'a RuleVerdict>) {
    let rules: Vec<&RuleVerdict> = rules.into_iter().collect();
    if rules.is_empty() {
        return;
    }
    let count = |kind| rules.iter().filter(|rule| rule.change == kind).count();
    let differ = rules.iter().filter(|rule| changed(rule) > 0).count();
    let kinds = [
        (count(ChangeKind::Added), "new"),
        (count(ChangeKind::Edited), "edited"),
        (count(ChangeKind::Removed), "removed"),
        (differ, "of them with other traces"),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(*count as u64)))
        .collect();
    let text = format!(
        "… {}: {}",
        counted(rules.len() as u64, "more rule"),
        kinds.join(", ")
    );
    page.text(0, Style::Faint, &text, LINES);
}

fn changed(rule: &RuleVerdict) -> u64 {
    rule.newly.traces + rule.no_longer.traces + rule.otherwise.traces
}

/// `4,812 traces (96,240 spans) of the last 9 min, 31 of 31 root operations`
fn coverage(coverage: &Coverage, report: &SaveReport) -> String {
    let after = u64::try_from(report.verdict_after.as_nanos()).unwrap_or(u64::MAX);
    let now = report.saved_at.saturating_add(after);
    format!("over {}", coverage.sentence(now))
}

fn of(count: u64, all: u64) -> String {
    match count {
        0 => format!("none of {}", traces(all)),
        some => format!("{} of {}", grouped(some), traces(all)),
    }
}

fn traces(count: u64) -> String {
    many(count, "trace")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
