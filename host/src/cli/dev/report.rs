//! What a save led to, as a block of lines that fits a screen.
//!
//! ```text
//! ── 10:32:07 UTC  rules/payments.betrace ───────────────────── live after 6.20 ms, verdict after 21.4 ms
//! what is wrong with it | what it does to the kept traces (verdict.rs)
//! ```
//! A function of the report and of what the screen showed before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::page::Page;
use super::verdict;
use crate::live::SaveReport;
use crate::rules::compile::Problem;
use crate::rules::update::{FileReport, Trip};
use crate::signal::stamp::rfc3339;
use crate::sinks::paint::{Paint, Style};
use crate::sinks::text::{self, clean, counted, duration};

/// Lines of diagnostics: with what stands around them, a screen.
const DIAGNOSTIC_LINES: usize = 30;

/// Lines that list rules or files by name.
const NAME_LINES: usize = 3;

/// Columns of a path or of an error that names one.
const LONG: usize = 400;

/// What a block depends on beside its report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) paint: Paint,
    pub(super) width: usize,
    /// Files that were broken when they were looked at last.
    pub(super) broken: &'a BTreeSet<PathBuf>,
    /// Rules that another file gives as well, with the file whose one did not run when it was looked at last.
    pub(super) doubles: &'a BTreeSet<(PathBuf, String)>,
    /// Where a file declares a rule, drawn.
    pub(super) declared: fn(&Path, &str) -> Option<String>,
    /// How to send traces, for when there are none; line by line.
    pub(super) no_traffic: &'a [String],
}

/// The number of the report of the start.
pub(super) const START: u64 = 1;

/// The block of a report.
pub(super) fn block(report: &SaveReport, context: &Context<'_>) -> String {
    let mut page = Page::new(context.paint, context.width);
    head(&mut page, report, context);
    for error in &report.update.paths {
        page.text(0, Style::Bad, &format!("error: {error}"), NAME_LINES);
    }
    problems(&mut page, report, context);
    for (_, id) in singles(report, context.doubles) {
        let text = format!("`{id}` is no longer given by two files");
        page.text(0, Style::Strong, &text, NAME_LINES);
    }
    trips(&mut page, &report.update.trips);
    if report.number == START {
        start(&mut page, report);
    } else {
        leaving(&mut page, report);
    }
    match &report.verdict {
        Some(found) => verdict::write(&mut page, found, report, context),
        None if report.number == START => {}
        None if report.update.trips.is_empty() => unjudged(&mut page, report),
        None => {}
    }
    page.finish()
}

fn is_broken(file: &FileReport) -> bool {
    !file.problems.is_empty()
}

/// When, which files, and how fast.
fn head(page: &mut Page, report: &SaveReport, context: &Context<'_>) {
    let when = format!("── {} UTC  ", clock(report.saved_at));
    let times = times(report);
    let room = page
        .width
        .saturating_sub(text::width(&when) + text::width(&times) + 4);
    let (what, style) = what(report, context);
    let what = clean(&what, room);
    let fill = room.saturating_sub(text::width(&what)) + 1;
    let line = format!(
        "{}{} {} {}",
        page.paint.paint(Style::Faint, &when),
        page.paint.paint(style, &what),
        page.paint.paint(Style::Faint, &"─".repeat(fill)),
        page.paint.paint(Style::Label, &times),
    );
    page.line(&line);
}

fn what(report: &SaveReport, context: &Context<'_>) -> (String, Style) {
    if report.number == START {
        return ("start".to_owned(), Style::Strong);
    }
    match &report.update.trips[..] {
        [] => {}
        [one] if one.back_to.is_some() => {
            return (format!("rule {} is rolled back", one.id), Style::Bad);
        }
        [one] => return (format!("rule {} is quarantined", one.id), Style::Bad),
        many => {
            let many = counted(many.len() as u64, "rule");
            return (format!("{many} quarantined"), Style::Bad);
        }
    }
    let files = &report.update.files;
    let named = |path: &Path, state: &str| format!("{}{state}", path.display());
    match &files[..] {
        [file] if is_broken(file) => (named(&file.path, " is broken"), Style::Bad),
        [file] if file.removed => (named(&file.path, " is gone"), Style::Doubtful),
        [file] if context.broken.contains(&file.path) => {
            (named(&file.path, " is mended"), Style::Strong)
        }
        [file] => (named(&file.path, ""), Style::Strong),
        [] => {
            let paths: BTreeSet<&Path> = report
                .update
                .changes
                .iter()
                .map(|change| change.path.as_path())
                .chain(report.update.unchanged.iter().map(PathBuf::as_path))
                .collect();
            match paths.first() {
                Some(path) if paths.len() == 1 => (named(path, ""), Style::Strong),
                Some(_) => (counted(paths.len() as u64, "file"), Style::Strong),
                None => ("the rule folders".to_owned(), Style::Doubtful),
            }
        }
        _ => {
            let broken = files.iter().filter(|file| is_broken(file)).count();
            let all = counted(files.len() as u64, "file");
            match broken {
                0 => (all, Style::Strong),
                _ => (format!("{all}, {broken} broken"), Style::Bad),
            }
        }
    }
}

fn times(report: &SaveReport) -> String {
    let shown =
        |after: std::time::Duration| duration(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
    let live = shown(report.live_after);
    if report.number == START {
        return format!("loaded in {live}");
    }
    match (&report.verdict, report.update.changes.is_empty()) {
        // Nobody saved anything.
        (None, true) if !report.update.trips.is_empty() => String::new(),
        (Some(_), _) => format!(
            "live after {live}, verdict after {}",
            shown(report.verdict_after)
        ),
        (None, false) => format!("live after {live}"),
        (None, true) => format!("checked after {live}"),
    }
}

/// What is wrong with files, and what runs all the same.
fn problems(page: &mut Page, report: &SaveReport, context: &Context<'_>) {
    let mut room = DIAGNOSTIC_LINES;
    let mut hidden: Vec<&FileReport> = Vec::new();
    for file in &report.update.files {
        if room == 0 && is_broken(file) {
            hidden.push(file);
            continue;
        }
        for warning in &file.warnings {
            let text = match page.paint.color {
                true => &warning.painted,
                false => &warning.text,
            };
            diagnostic(page, text, &file.path, &mut room);
        }
        for problem in &file.problems {
            let text = problem.rendered(page.paint.color);
            diagnostic(page, &text, &file.path, &mut room);
            if let Problem::Duplicate { id, second, .. } = problem
                && let Some(text) = (context.declared)(second, id)
            {
                diagnostic(page, &text, &file.path, &mut room);
            }
        }
        if is_broken(file) {
            page.text(0, Style::Doubtful, &runs_on(file), NAME_LINES);
        }
    }
    if !hidden.is_empty() {
        let names: Vec<String> = hidden
            .iter()
            .map(|f| f.path.display().to_string())
            .collect();
        let many = counted(names.len() as u64, "more file");
        let text = format!("{many} broken: {}", names.join(", "));
        page.text(0, Style::Bad, &text, NAME_LINES);
    }
}

/// The compiler's own lines, as it laid them out, as long as there is room.
fn diagnostic(page: &mut Page, text: &str, path: &Path, room: &mut usize) {
    let lines = text.trim_end().lines().count();
    for line in text.trim_end().lines().take(*room) {
        page.line(line);
    }
    if lines > *room {
        let more = counted((lines - *room) as u64, "more line");
        let path = clean(&path.display().to_string(), LONG);
        page.text(
            0,
            Style::Faint,
            &format!("… {more}: `betrace check {path}`"),
            NAME_LINES,
        );
    }
    *room = room.saturating_sub(lines);
}

fn runs_on(file: &FileReport) -> String {
    let whole = file.problems.iter().any(|problem| {
        matches!(
            problem,
            Problem::Source { .. }
                | Problem::Unreadable { .. }
                | Problem::NoFile { .. }
                | Problem::TooLarge { .. }
        )
    });
    match (&file.kept[..], whole) {
        ([], true) => {
            "no rule of this file is in force: it has not been right since betrace runs".to_owned()
        }
        ([], false) => {
            let mut text = String::new();
            for problem in &file.problems {
                if let Problem::Duplicate { id, first, .. } = problem {
                    text.push_str(&format!("`{id}` runs as {} gives it; ", first.display()));
                }
            }
            text + "other rules of this file run, if there are any"
        }
        ([one], _) => format!("`{one}` runs on as it was before this save"),
        (many, _) => format!(
            "{} run on as they were before this save: {}",
            counted(many.len() as u64, "rule"),
            many.join(", ")
        ),
    }
}

/// Rules that kept faulting.
fn trips(page: &mut Page, trips: &[Trip]) {
    for trip in trips.iter().take(NAME_LINES) {
        let text = format!("`{}` kept faulting: {}", trip.id, trip.fault);
        page.text(0, Style::Bad, &text, NAME_LINES);
        let nanoseconds = u64::try_from(trip.back_off.as_nanos()).unwrap_or(u64::MAX);
        let text = match &trip.back_to {
            Some(_) => format!(
                "its version before this one is in force again, until {} is saved with a change",
                trip.path.display()
            ),
            None => format!(
                "it judges nothing now, and is tried again in {}; mend {}",
                duration(nanoseconds),
                trip.path.display()
            ),
        };
        page.text(0, Style::Doubtful, &text, NAME_LINES);
    }
    if let Some(more) = trips.get(NAME_LINES..).filter(|more| !more.is_empty()) {
        let ids: Vec<&str> = more.iter().map(|trip| trip.id.as_str()).collect();
        let many = counted(ids.len() as u64, "more rule");
        let text = format!("{many} kept faulting: {}", ids.join(", "));
        page.text(0, Style::Bad, &text, NAME_LINES);
    }
}

/// Rules that a file of this report gives beside another file.
pub(super) fn doubles(report: &SaveReport) -> impl Iterator<Item = (PathBuf, String)> {
    let problems = report.update.files.iter().flat_map(|file| &file.problems);
    problems.filter_map(|problem| match problem {
        Problem::Duplicate { id, second, .. } => Some((second.clone(), id.clone())),
        _ => None,
    })
}

/// Those of `known` that are none any more: the file does not give the rule now, or it is the one that does.
pub(super) fn singles(
    report: &SaveReport,
    known: &BTreeSet<(PathBuf, String)>,
) -> Vec<(PathBuf, String)> {
    let now: BTreeSet<(PathBuf, String)> = doubles(report).collect();
    let is_read = |path: &Path| {
        let mut files = report.update.files.iter();
        files.any(|file| {
            file.path == path && !matches!(&file.problems[..], [Problem::Source { .. }, ..])
        })
    };
    let is_taken = |path: &Path, id: &str| {
        let mut changes = report.update.changes.iter();
        changes.any(|change| change.id == id && change.path == path && change.after.is_some())
    };
    let known = known.iter().filter(|double| !now.contains(double));
    known
        .filter(|(path, id)| is_read(path) || is_taken(path, id))
        .cloned()
        .collect()
}

/// The rules of the start.
fn start(page: &mut Page, report: &SaveReport) {
    let ids: Vec<&str> = report
        .update
        .changes
        .iter()
        .map(|change| change.id.as_str())
        .collect();
    if ids.is_empty() {
        let text = "no rule is in force yet; one will be as soon as a file is right";
        page.text(0, Style::Doubtful, text, NAME_LINES);
    } else if report.verdict.is_none() {
        let text = format!(
            "{} in force: {}",
            counted(ids.len() as u64, "rule"),
            ids.join(", ")
        );
        page.text(0, Style::Faint, &text, NAME_LINES);
    }
}

/// Rules that wait to be withdrawn, as their file does not give them any more.
fn leaving(page: &mut Page, report: &SaveReport) {
    for file in &report.update.files {
        if !file.leaving.is_empty() {
            let ids = file.leaving.join(", ");
            let text = format!("gone from this file, and withdrawn in a moment unless back: {ids}");
            page.text(0, Style::Doubtful, &text, NAME_LINES);
        }
    }
}

/// A save without a verdict.
fn unjudged(page: &mut Page, report: &SaveReport) {
    let changes = &report.update.changes;
    if changes.is_empty() {
        let files = &report.update.files;
        let as_before = |file: &FileReport| !is_broken(file) && file.leaving.is_empty();
        if files.iter().all(as_before) && report.update.paths.is_empty() {
            let text = "nothing changes: the rules are what they were";
            page.text(0, Style::Faint, text, NAME_LINES);
        }
        return;
    }
    let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
    let text = format!(
        "{} changed and in force: {}; a newer save is there, which tells what that does",
        counted(ids.len() as u64, "rule"),
        ids.join(", ")
    );
    page.text(0, Style::Faint, &text, NAME_LINES);
}

/// Hours, minutes and seconds of a time in Unix nanoseconds.
pub(super) fn clock(unix_ns: u64) -> String {
    rfc3339(unix_ns).get(11..19).unwrap_or_default().to_owned()
}
